"""Fixtures of the tests of comparisons."""

import pytest

from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.forget_task import ForgetRequest, open_task
from recbole_apa.comparison.methods.sharded import AdapterMethod
from recbole_apa.comparison.registry import ADAPTERS, REFERENCE
from tests.helpers.inside import inside


@pytest.fixture
def opened(options, work_folder, tmp_path):
    """Opens a comparison of the small dataset."""

    def open_it(block="all", **changes):
        folder = tmp_path / f"{block}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return open_context("board", [], {**options, **changes}, folder, block)

    return open_it


@pytest.fixture(scope="session")
def trained(options, work_folder, tmp_path_factory):
    """The original model with a task of forgetting two users."""
    with inside(work_folder):
        context = open_context("board", [], options, tmp_path_factory.mktemp("bench"))
        changes, serving = ADAPTERS[REFERENCE]
        method = AdapterMethod(context, {REFERENCE: serving}, changes)
        method.fit(2020)
        task = open_task(method.made, context.data[1]._dataset, ForgetRequest(users_ratio=0.2), 2020)
    return method, task, method.made.model.engine.bank.extract(0)
