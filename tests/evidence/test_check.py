"""The independent check before a certificate: hiding is broken on purpose, each time another way, and nothing is
certified."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.core.errors import CertificateError, RunError
from recbole_apa.data.forgotten import PAIR, USER, Forgotten, Scope
from recbole_apa.data.index.change import Change
from recbole_apa.data.samples import LabelledItems
from recbole_apa.data.tokens import Tokens
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence.search.reach import _n_told
from recbole_apa.evidence.search.sought import Sought
from recbole_apa.runs import keep_index
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning import light_stage, touched
from recbole_apa.unlearning.session import Session
from tests.helpers.runs import copy_run, shown_interaction, state, tree
from tests.helpers.unseen import unseen_rows

SCOPES_OF = "recbole_apa.unlearning.requests.scopes.scopes_of"


def nothing_is_hidden(patch):
    patch.setattr(VisibleData, "visible", lambda self, rows, *more: np.ones(len(rows), dtype=bool))


def only_whole_users_are_hidden(patch):
    patch.setattr(Forgotten, "_last_of_row", lambda self, user, item, time: 0)


def half_of_the_rows_are_hidden(patch):
    whole = Forgotten.visible
    patch.setattr(Forgotten, "visible", lambda self, *a: whole(self, *a) | (np.arange(len(a[0])) % 2 == 0))


def histories_are_made_of_all_rows(patch):
    """Targets are dropped, and what is shown before others stays."""
    from recbole_apa.data import run_data

    def seen_before(rows, windows, row, length):
        sample = make(rows, windows, row, length)
        return replace(sample, history=tuple(e for e in remembered.get(sample.sample_id, sample).history))

    make, remembered = run_data.make_sample, {}
    first = evaluate_run(FOLDER[0]).data[0]._dataset.splits
    remembered |= {s.sample_id: s for samples in first.values() for s in samples}
    patch.setattr(run_data, "make_sample", seen_before)


def digests_are_somebody_elses(patch):
    patch.setattr(SCOPES_OF, lambda *a: [Scope(USER, "u9")])


def one_row_of_a_pair_is_kept_of_the_request(patch):
    patch.setattr(
        "recbole_apa.unlearning.requests.scopes.scopes_of", lambda d, hits, rows: [Scope(PAIR, d.user, "i999")]
    )


def somebody_else_is_hidden_too(patch):
    whole = Forgotten.visible

    def wider(self, rows, *more):
        return whole(self, rows, *more) & np.array([name != "u9" for name in rows.users.texts()])

    patch.setattr(Forgotten, "visible", wider)


def statistics_count_what_is_hidden(patch):
    from recbole_apa.data import run_data

    def with_one_more(items, labels):
        items = items.take(np.concatenate([np.arange(len(items)), [0] * 17]))
        return LabelledItems(items, np.concatenate([labels, np.repeat(labels[:1], 17)]))

    patch.setattr(run_data, "LabelledItems", with_one_more)


FOLDER = []
PAIRS = [nothing_is_hidden, only_whole_users_are_hidden, one_row_of_a_pair_is_kept_of_the_request]
WAYS = [
    nothing_is_hidden,
    half_of_the_rows_are_hidden,
    digests_are_somebody_elses,
    somebody_else_is_hidden_too,
    statistics_count_what_is_hidden,
]


def from_the_index_alone(patch):
    """The request is refused before the run is loaded."""
    patch.setattr(Session, "load", lambda *args, **kwargs: pytest.fail("the run was loaded"))


def with_the_run_in_ram(patch):
    patch.setattr(light_stage, "open_light", lambda *args: None)


def the_index_keeps_its_rows(patch):
    nothing = Change()
    patch.setattr(keep_index, "difference", lambda before, after: nothing)
    patch.setattr(touched, "Change", lambda *args: nothing)


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


@pytest.mark.quick(
    "nothing_is_hidden-users-from_the_index_alone",
    "nothing_is_hidden-users-with_the_run_in_ram",
    "histories_are_made_of_all_rows-shown-from_the_index_alone",
    "statistics_count_what_is_hidden-unseen-from_the_index_alone",
)
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


@pytest.mark.quick("from_the_index_alone")
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


@pytest.mark.slow
def test_what_was_certified_by_a_broken_program_is_found_later(finished, tmp_path, monkeypatch):
    """Names are not known any more: rows of the index and of the raw files are recognised by keyed digests."""
    folder = copy_run(finished, tmp_path / "run")
    with monkeypatch.context() as patch:
        with_the_run_in_ram(patch)
        nothing_is_hidden(patch)
        for place in ("prepare.refuse_in_data", "exact.refuse_in_state", "exact.refuse_in_index"):
            patch.setattr(f"recbole_apa.unlearning.{place}", lambda *a: None)
        assert not unlearn(folder, interactions=[shown_interaction(finished)]).plan.affected
        assert audit(folder).findings == ["1 forgotten interactions in index/"]
        assert any("can be reached: 1 rows of the data" in d for d in verify(folder).differences)
    assert "1 forgotten interactions in index/" in audit(folder).findings
    with pytest.raises(RunError, match="its index has 1 forgotten interactions; ask --audit"):
        verify(folder)


@pytest.mark.slow
def test_the_same_in_a_run_without_an_index(uncounted, tmp_path, monkeypatch):
    """As older versions left them, without statistics: the run is opened from the raw files."""
    folder = copy_run(uncounted, tmp_path / "run")
    shutil.rmtree(folder / "index")
    RunStore(folder).seal({})
    with monkeypatch.context() as patch:
        nothing_is_hidden(patch)
        for place in (
            "prepare.refuse_in_data",
            "exact.refuse_in_state",
            "exact.refuse_in_index",
            "exact.write_next_index",
        ):
            patch.setattr(f"recbole_apa.unlearning.{place}", lambda *a, **k: None)
        unlearn(folder, interactions=[shown_interaction(uncounted)])
        assert not (folder / "index").exists()
        assert any("can be reached: 1 rows of the data" in f for f in audit(folder).findings)
    assert any("the dataset" in f for f in audit(folder).findings)
    with pytest.raises(RunError, match="not the one that the run was made of"):
        verify(folder)


@pytest.mark.slow
def test_exports_are_looked_through_before_the_certificate(options, tmp_path, monkeypatch):
    export = tmp_path / "export"
    made = run("APA", "board", config_dict={**options, "export_samples": str(export)}, run_dir=tmp_path / "run")
    monkeypatch.setattr("recbole_apa.unlearning.exact.clean_outside", lambda own, *a: own)
    with pytest.raises(CertificateError, match=r"lines of .*train\.jsonl"):
        unlearn(made.run_dir, users=["u3"])
    assert not (made.run_dir / "certificates").exists()
    monkeypatch.undo()
    unlearn(made.run_dir)
    assert audit(made.run_dir).holds


@pytest.mark.slow
def test_other_files_in_an_export_folder_stop_no_request(options, tmp_path):
    """A request file that lay there ended the request after the ledger had taken it, each time again."""
    export = tmp_path / "export"
    made = run("APA", "board", config_dict={**options, "export_samples": str(export)}, run_dir=tmp_path / "run")
    (export / "requests.jsonl").write_text('{"user_id": "u3"}\nno JSON\n')
    unlearn(made.run_dir, requests=None, users=["u3"])
    assert audit(made.run_dir).findings == []


def test_items_without_a_row_have_no_name_and_are_counted_apart():
    """Their codes stay, so the empty name is there more than once; found by ``--verify`` after a request."""
    names = ["a", "", "", "b"]
    rows = SimpleNamespace(items=Tokens(np.array([0, 3, 3]), names), labels=np.array([1, 0, 1]))
    told = LabelledItems(Tokens(np.array([3, 0]), names), np.array([0, 1]))
    assert _n_told(told, rows, Sought()) == 0
    more = LabelledItems(Tokens(np.array([3, 3, 0]), names), np.array([0, 0, 1]))
    assert _n_told(more, rows, Sought()) == 1
