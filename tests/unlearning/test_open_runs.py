"""A run that a program has open, after calls that were refused or were dry runs: it goes on being usable."""

import pytest
import torch

from recbole_apa import add, evaluate_run, unlearn
from recbole_apa.core.errors import APAError, RequestError, RunError
from recbole_apa.unlearning.session import Session
from tests.helpers.killed_process import fresh_copy
from tests.helpers.runs import tree

START = 90_000
ROWS = [("u1", "fresh item", 5, START), *((f"new{k}", f"i{k}", 5, START + k) for k in range(8))]


@pytest.fixture(scope="module")
def opened(finished, tmp_path_factory, work_folder):
    """A run that nobody changes."""
    folder = fresh_copy(finished.run_dir, tmp_path_factory.mktemp("open") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        return evaluate_run(folder)


def scores(run):
    """The scores of RecBole's test rows, for which the model maps ids to texts."""
    return run.model.predict(run.data.test_set.inter_feat)


def _unwritable(*args, **kwargs):
    raise RunError("cannot write: no space left")


def _late(patch, where):
    patch.setattr(where, _unwritable)


REFUSED = {
    "add, early": lambda run: add(run, [("u1", "i3", 5, 1000)]),
    "add, known": lambda run: add(run, [*ROWS, ("u1", "i1", 5, float("nan"))]),
    "add, malformed": lambda run: add(run, [("u1", "i3")]),
    "unlearn, unknown": lambda run: unlearn(run, users=["nobody"]),
    "unlearn, all": lambda run: unlearn(run, users=[f"u{k}" for k in range(100)], skip_unknown=True),
    "unlearn, all, fresh": lambda run: unlearn(
        run, users=[f"u{k}" for k in range(100)], skip_unknown=True, exactness="fresh"
    ),
}
DRY = {
    "add": lambda run: add(run, ROWS, dry_run=True),
    "inherited": lambda run: unlearn(run, users=["u1"], dry_run=True),
    "strict": lambda run: unlearn(run, users=["u1"], dry_run=True, exactness="strict"),
    "fresh": lambda run: unlearn(run, items=["i1"], dry_run=True, exactness="fresh"),
}
WRITES = {
    "places": ("recbole_apa.unlearning.additions.stage.refuse_unreachable", lambda run: add(run, ROWS)),
    "key": ("recbole_apa.unlearning.session.Session.keep_key", lambda run: add(run, ROWS)),
    "incoming": ("recbole_apa.unlearning.additions.incoming_files.write_whole", lambda run: add(run, ROWS)),
    "request": ("recbole_apa.unlearning.stage.refuse_unreachable", lambda run: unlearn(run, users=["u1"])),
    "request, fresh": (
        "recbole_apa.unlearning.stage.refuse_unreachable",
        lambda run: unlearn(run, users=["u1"], exactness="fresh"),
    ),
}


def goes_on(run, before, monkeypatch):
    """Nothing is loaded again, and the run answers as before."""
    monkeypatch.setattr(Session, "load", lambda *args, **kwargs: pytest.fail("loaded again"))
    assert torch.equal(scores(run), before)
    assert unlearn(run, users=["u5"], dry_run=True).plan.affected
    assert torch.equal(scores(run), before)


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", REFUSED)
def test_after_a_refusal(name, opened, monkeypatch):
    before, files = scores(opened), tree(opened.run_dir)
    with pytest.raises((RequestError, APAError)):
        REFUSED[name](opened)
    assert tree(opened.run_dir) == files
    goes_on(opened, before, monkeypatch)


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", DRY)
def test_after_a_dry_run(name, opened, monkeypatch):
    before = scores(opened)
    DRY[name](opened)
    goes_on(opened, before, monkeypatch)


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", WRITES)
def test_after_a_refusal_to_write(name, opened, monkeypatch):
    where, call = WRITES[name]
    before = scores(opened)
    with monkeypatch.context() as patch, pytest.raises(RunError, match="no space left"):
        _late(patch, where)
        call(opened)
    goes_on(opened, before, monkeypatch)
