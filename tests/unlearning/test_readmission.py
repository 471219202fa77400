"""Somebody whom a run forgot comes back, and goes again."""

import pytest

from recbole_apa import evaluate_run, unlearn
from recbole_apa.core.errors import RequestError, RunError
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.additions.stage import add
from tests.helpers.added import START, holds, later, samples
from tests.helpers.killed_process import fresh_copy
from tests.helpers.runs import state, tree

pytestmark = pytest.mark.slow


def test_what_was_forgotten_comes_back_only_if_readmitted(served, tmp_path):
    """The run forgot u3."""
    folder = fresh_copy(served, tmp_path / "run")
    before = tree(folder)
    with pytest.raises(RequestError, match=r"forgotten.*--readmit"):
        add(folder, [*later("u3"), *later("u4")])
    assert tree(folder) == before
    out = add(folder, [*later("u3"), *later("u4")], readmit=True)
    assert out.plan.n_readmitted == 16 and len(Ledger(folder, RunStore(folder).salt).additions()[0].content["readmits"])
    rows = RunStore(folder).open_index().all_rows()
    assert {rows.times[i] >= START for i, user in enumerate(rows.users) if user == "u3"} == {True}
    holds(folder)
    unlearn(folder, users=["u3"])
    assert "u3" not in RunStore(folder).open_index().all_rows().users.texts()
    assert not any(name.startswith("u3:") for of_split in samples(folder).values() for name in of_split)
    holds(folder)


def test_readmitted_rows_stay_after_fresh(served, tmp_path):
    folder = fresh_copy(served, tmp_path / "run")
    add(folder, later("u3"), readmit=True)
    unlearn(folder, users=["u4"], exactness="fresh")
    rows = RunStore(folder).open_index().all_rows()
    assert rows.users.texts().count("u3") == 16
    holds(folder)
    unlearn(folder, users=["u3"])
    assert "u3" not in RunStore(folder).open_index().all_rows().users.texts()
    holds(folder)


def test_an_open_run_is_loaded_again_if_another_process_forgot_what_had_come_back(served, tmp_path):
    """After forget, readmit and forget again the same digests are forgotten as at first."""
    folder = fresh_copy(served, tmp_path / "run")
    rows = [("u3", f"i{k}", 5, START + k) for k in range(4)]
    add(folder, rows, readmit=True)
    opened = evaluate_run(folder)
    unlearn(folder, users=["u3"])
    add(opened, later("u7"))
    assert not any(name.startswith("u3:") for of_split in samples(folder).values() for name in of_split)
    holds(folder)


def test_a_state_of_a_run_that_has_changed_is_not_put_in_place(served, tmp_path, monkeypatch):
    """That it was opened before is overlooked on purpose."""
    folder = fresh_copy(served, tmp_path / "run")
    add(folder, later("u3"), readmit=True)
    opened = evaluate_run(folder)
    unlearn(folder, users=["u3"])
    monkeypatch.setattr("recbole_apa.unlearning.session.Session.is_stale", lambda self, opened: False)
    before = state(folder)
    with pytest.raises(RunError, match="it has changed since"):
        add(opened, later("u7"))
    assert state(folder) == before
