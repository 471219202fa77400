"""Fixtures of the tests of the pipeline."""

import pytest

from tests.helpers.evidence_runs import WITH_FM
from tests.helpers.inside import inside


@pytest.fixture(scope="session")
def with_fm(options, work_folder, tmp_path_factory):
    """A run with FM among its evidence; tests change copies of it."""
    from recbole_apa import run

    with inside(work_folder):
        return run("APA", "board", config_dict={**options, **WITH_FM}, run_dir=tmp_path_factory.mktemp("fm") / "run")
