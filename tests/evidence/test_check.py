"""The independent check before a certificate: hiding is broken on purpose, each time another way, and nothing is
certified."""

from types import SimpleNamespace

import numpy as np
import pytest

from recbole_apa import audit, unlearn, verify
from recbole_apa.core.errors import CertificateError
from recbole_apa.data.samples import LabelledItems
from recbole_apa.data.tokens import Tokens
from recbole_apa.evidence.search.reach import _n_told
from recbole_apa.evidence.search.sought import Sought
from recbole_apa.runs.store import RunStore
from tests.helpers.broken_hiding import (
    FOLDER,
    digests_are_somebody_elses,
    from_the_index_alone,
    half_of_the_rows_are_hidden,
    histories_are_made_of_all_rows,
    nothing_is_hidden,
    one_row_of_a_pair_is_kept_of_the_request,
    only_whole_users_are_hidden,
    somebody_else_is_hidden_too,
    statistics_count_what_is_hidden,
    the_index_keeps_its_rows,
    with_the_run_in_ram,
)
from tests.helpers.runs import copy_run, shown_interaction, state, tree
from tests.helpers.unseen import unseen_rows

PAIRS = [nothing_is_hidden, only_whole_users_are_hidden, one_row_of_a_pair_is_kept_of_the_request]
WAYS = [
    nothing_is_hidden,
    half_of_the_rows_are_hidden,
    digests_are_somebody_elses,
    somebody_else_is_hidden_too,
    statistics_count_what_is_hidden,
]


def named_in(asked, finished):
    """The arguments of a request."""
    if asked == "shown":
        return {"interactions": [shown_interaction(finished)]}
    return {"interactions": unseen_rows(finished)[:1]} if asked == "unseen" else asked


CASES = (
    [(way, {"users": ["u3"]}) for way in WAYS]
    + [(way, "shown") for way in [*PAIRS, histories_are_made_of_all_rows]]
    + [(way, "unseen") for way in [*PAIRS, statistics_count_what_is_hidden]]
    + [(way, {"items": ["i6"]}) for way in (nothing_is_hidden, half_of_the_rows_are_hidden)]
)


def kind_of(asked):
    return asked if isinstance(asked, str) else next(iter(asked))


NOT_READ = [(way, {"users": ["u3"]}) for way in (somebody_else_is_hidden_too, statistics_count_what_is_hidden)]
"""Faults in rows that a plan from the index does not read: it is right, and the request is carried out the other way,
which is refused."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("broken", "asked", "way"),
    [
        pytest.param(broken, asked, way, id=f"{broken.__name__}-{kind_of(asked)}-{way.__name__}")
        for broken, asked in CASES
        for way in (from_the_index_alone, with_the_run_in_ram)
        if way is with_the_run_in_ram or (broken, asked) not in NOT_READ
    ],
)
def test_hiding_that_is_broken_is_not_certified(broken, asked, way, finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    FOLDER[:] = [folder]
    asked = named_in(asked, finished)
    before = tree(folder)
    with monkeypatch.context() as patch:
        way(patch)
        broken(patch)
        with pytest.raises(CertificateError, match="report it"):
            unlearn(folder, **asked)
    assert tree(folder) == before
    unlearn(folder, **asked)
    assert audit(folder).holds


@pytest.mark.slow
@pytest.mark.parametrize(("broken", "asked"), NOT_READ)
def test_the_other_way_is_refused_where_a_plan_from_the_index_is_right(broken, asked, finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    before, expected = tree(folder), unlearn(folder, **asked, dry_run=True).plan
    broken(monkeypatch)
    assert unlearn(folder, **asked, dry_run=True).plan == expected
    with pytest.raises(CertificateError, match="report it"):
        unlearn(folder, **asked)
    assert tree(folder) == before


@pytest.mark.slow
@pytest.mark.parametrize("way", [from_the_index_alone, with_the_run_in_ram])
def test_an_index_that_keeps_a_row_is_not_certified(way, finished, tmp_path, monkeypatch):
    """The ledger has the request by then: it waits, and a program that is right finishes it."""
    folder = copy_run(finished, tmp_path / "run")
    old = state(folder)
    with monkeypatch.context() as patch:
        way(patch)
        the_index_keeps_its_rows(patch)
        with pytest.raises(CertificateError, match="1 forgotten interactions in index/"):
            unlearn(folder, **named_in("unseen", finished))
    assert state(folder) == old and not (folder / "certificates").exists()
    unlearn(folder)
    assert audit(folder).holds and verify(folder).holds


@pytest.mark.slow
def test_a_state_that_kept_a_sample_is_not_certified(finished, tmp_path, monkeypatch):
    """The ledger has the request by then: it waits, the old state stays, and a program that is right finishes it."""
    folder = copy_run(finished, tmp_path / "run")
    old, lineage, item = state(folder), RunStore.save_lineage, item_at(finished, "u3", 3001)

    def keeping(self, seen):
        lineage(self, {**seen, "memory.safetensors": {**seen["memory.safetensors"], f"u3:{item}:3001": "00"}})

    with monkeypatch.context() as patch:
        with_the_run_in_ram(patch)
        patch.setattr(RunStore, "save_lineage", keeping)
        with pytest.raises(CertificateError, match=r"1 samples in memory\.safetensors; \d+ rows in memory"):
            unlearn(folder, interactions=[("u3", item)])
    assert state(folder) == old and not (folder / "certificates").exists()
    unlearn(folder)
    assert audit(folder).holds and verify(folder).holds


def test_records_that_name_what_is_forgotten_are_not_certified(finished, tmp_path):
    """The same where no model is loaded: no sample of the index has that id, and the run's records have it."""
    folder, (user, item, time) = copy_run(finished, tmp_path / "run"), unseen_rows(finished)[0]
    store = RunStore(folder)
    lineage = store.lineage()
    lineage["embeddings.safetensors"][f"{user}:{item}:{int(time)}"] = "00"
    store.save_lineage(lineage)
    store.seal({})
    with pytest.raises(CertificateError, match=r"1 samples in embeddings\.safetensors"):
        unlearn(folder, interactions=[(user, item, time)])
    assert not (folder / "certificates").exists()


def item_at(finished, user, time):
    rows = finished.data[0]._dataset.interactions
    return next(rows.items[r] for r in range(len(rows)) if rows.users[r] == user and rows.times[r] == time)


def test_items_without_a_row_have_no_name_and_are_counted_apart():
    """Their codes stay, so the empty name is there more than once; found by ``--verify`` after a request."""
    names = ["a", "", "", "b"]
    rows = SimpleNamespace(items=Tokens(np.array([0, 3, 3]), names), labels=np.array([1, 0, 1]))
    told = LabelledItems(Tokens(np.array([3, 0]), names), np.array([0, 1]))
    assert _n_told(told, rows, Sought()) == 0
    more = LabelledItems(Tokens(np.array([3, 3, 0]), names), np.array([0, 0, 1]))
    assert _n_told(more, rows, Sought()) == 1
