"""Fixtures of the tests of run folders and object stores."""

import re

import fsspec
import pytest


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of each test's own."""
    monkeypatch.setenv("RECBOLE_APA_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def url(request):
    """A place in memory of each test's own."""
    name = re.sub(r"\W", "-", request.node.name)
    yield f"memory://{name}/run"
    fs = fsspec.filesystem("memory")
    if fs.exists(f"/{name}"):
        fs.rm(f"/{name}", recursive=True)
