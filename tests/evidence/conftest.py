"""Fixtures of the tests of evidence."""

import pytest


@pytest.fixture
def key_file(tmp_path, monkeypatch):
    path = tmp_path / "settings" / "keys.json"
    monkeypatch.setenv("RECBOLE_APA_KEY_FILE", str(path))
    return path
