"""Fixtures of the tests of unlearning."""

import shutil
from pathlib import Path

import pytest

from tests.helpers.inside import inside
from tests.helpers.killed_process import fresh_copy
from tests.helpers.sliced import L


@pytest.fixture
def folder(served, tmp_path):
    """A copy of one's own of a run that has served a request."""
    return Path(shutil.copytree(served, tmp_path / "run"))


@pytest.fixture(scope="session")
def sliced(options, work_folder):
    """A run with three slices in each shard; shared by tests that only read it, or copy it."""
    from recbole_apa import run

    with inside(work_folder):
        return run("APA", "board", config_dict={**options, "shard_slices": L}, run_dir=work_folder / "sliced")


@pytest.fixture
def copied(sliced, tmp_path):
    """A copy of one's own of it."""
    return fresh_copy(sliced.run_dir, tmp_path / "run")
