"""Fixtures of the tests of unlearning."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def folder(served, tmp_path):
    """A copy of one's own of a run that has served a request."""
    return Path(shutil.copytree(served, tmp_path / "run"))
