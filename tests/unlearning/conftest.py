"""Fixtures of the tests of unlearning."""

import os
import shutil
from pathlib import Path

import pytest

from recbole_apa import audit, unlearn
from tests.helpers.runs import copy_run


@pytest.fixture(scope="module")
def served(finished, tmp_path_factory, work_folder):
    """A run that has served a request."""
    folder = copy_run(finished, tmp_path_factory.mktemp("served") / "run")
    here = Path.cwd()
    os.chdir(work_folder)
    try:
        unlearn(folder, users=["u3"])
    finally:
        os.chdir(here)
    assert audit(folder).findings == []
    return folder


@pytest.fixture
def folder(served, tmp_path):
    return Path(shutil.copytree(served, tmp_path / "run"))
