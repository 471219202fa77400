"""Users without a name, a home, or the right to write there are told of RECBOLE_APA_CACHE."""

import getpass
import os
from pathlib import Path

import pytest

from recbole_apa.backbone.default_model import packaged_model_folder
from recbole_apa.core import cache
from recbole_apa.core.cache import CACHE_VARIABLE, cache_folder, cache_root, user_name
from recbole_apa.core.errors import RunError
from recbole_apa.runs.remote.working_copy import open_place

SAYS = r"set the environment variable RECBOLE_APA_CACHE to a writable folder$"


def no_such_user(*args):
    raise KeyError("getpwuid(): uid not found: 12345")


def no_home(*args):
    raise RuntimeError("Could not determine home directory.")


def test_a_user_without_a_name_is_called_by_number(monkeypatch):
    monkeypatch.setattr(getpass, "getuser", no_such_user)
    assert user_name() == str(os.getuid())


@pytest.mark.parametrize("how", [lambda name: Path("~/.cache") / name, no_home, no_such_user])
def test_a_user_without_a_home_is_told_of_the_variable(how, monkeypatch, tmp_path):
    monkeypatch.delenv(CACHE_VARIABLE, raising=False)
    monkeypatch.setattr(cache, "user_cache_path", how)
    with pytest.raises(RunError, match=r"has no home directory to keep a cache in; " + SAYS):
        cache_root()
    with pytest.raises(RunError, match=SAYS), open_place("memory://bucket/run", "reading", writes=False):
        pass
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    assert cache_folder("runs") == tmp_path / "runs"


def test_a_home_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "home" / "cache"))
    (tmp_path / "home").write_text("")
    with pytest.raises(RunError, match=rf"cannot write the cache {tmp_path}/home/cache/runs: .*; " + SAYS):
        cache_folder("runs")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *args: False)  # root may write everywhere
    with pytest.raises(RunError, match=r"no right to write there; " + SAYS):
        cache_folder("runs")


def test_a_home_that_may_not_be_looked_at_is_told_the_same_way(monkeypatch, tmp_path):
    def no_right(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(Path, "is_file", no_right)
    monkeypatch.setattr(os, "access", lambda *args: False)
    with pytest.raises(RunError, match=r"no right to write there; " + SAYS):
        packaged_model_folder("smollm2-135m")
