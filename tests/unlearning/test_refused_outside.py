"""A state that is refused leaves what lies outside the run folder as it was."""

from pathlib import Path

import pytest

from recbole_apa import add, audit, run, unlearn
from recbole_apa.core.errors import CertificateError
from recbole_apa.runs.store import RunStore
from tests.helpers.planted_sums import a_like_too_many
from tests.helpers.runs import state, tree

ADDED = [("u3", "i3", 5, 90_000), ("u3", "i5", 1, 90_001)]


@pytest.fixture
def exported(options, tmp_path, monkeypatch):
    """A run of one's own, with an export, and tensorboard logs in a working folder of its own."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    run("APA", "board", config_dict={**options, "epochs": 1, "export_samples": "seen"}, run_dir=tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
@pytest.mark.parametrize(
    "change", [lambda run: unlearn(run, users=["u3"]), lambda run: add(run, ADDED)], ids=["request", "addition"]
)
def test_wrong_sums_leave_exports_and_logs_as_they_were(change, exported, monkeypatch):
    named = RunStore(exported).manifest()["outside"]
    outside = [Path(name) for kind in ("exports", "tensorboard") for name in named[kind]]
    before, old = {path: tree(path) for path in outside}, state(exported)
    assert len(outside) == 2 and all(before.values())
    with monkeypatch.context() as patch:
        a_like_too_many(patch)
        with pytest.raises(CertificateError, match="likes of 1 items"):
            change(exported)
    assert {path: tree(path) for path in outside} == before and state(exported) == old
    change(exported)
    assert {path: tree(path) for path in outside} != before and audit(exported).holds
