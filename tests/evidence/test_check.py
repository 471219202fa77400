"""The independent check before a certificate: hiding is broken on purpose, each time another way, and nothing is
certified."""

import ast
from dataclasses import replace

import numpy as np
import pytest

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.core.errors import CertificateError, RunError
from recbole_apa.data.forgotten import PAIR, USER, Forgotten, Scope
from recbole_apa.data.samples import LabelledItems
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence.search import Name, RawFiles, Sought, in_exports, in_state, named, scan
from recbole_apa.runs.store import RunStore
from tests.helpers.places import ROOT
from tests.helpers.runs import copy_run, shown_interaction, state, tree

CHECK = ROOT / "recbole_apa" / "evidence" / "search"
SCOPES_OF = "recbole_apa.unlearning.requests.scopes.scopes_of"


def nothing_is_hidden(patch):
    patch.setattr(VisibleData, "visible", lambda self, rows: np.ones(len(rows), dtype=bool))


def only_whole_users_are_hidden(patch):
    patch.setattr(Forgotten, "_last_of_row", lambda self, user, item, time: 0)


def half_of_the_rows_are_hidden(patch):
    whole = Forgotten.visible
    patch.setattr(Forgotten, "visible", lambda self, *a: whole(self, *a) | (np.arange(len(a[0])) % 2 == 0))


def histories_are_made_of_all_rows(patch):
    """Targets are dropped, and what is shown before others stays."""
    from recbole_apa.data import dataset

    def seen_before(rows, windows, row, length):
        sample = make(rows, windows, row, length)
        return replace(sample, history=tuple(e for e in remembered.get(sample.sample_id, sample).history))

    make, remembered = dataset.make_sample, {}
    first = evaluate_run(FOLDER[0]).data[0]._dataset.splits
    remembered |= {s.sample_id: s for samples in first.values() for s in samples}
    patch.setattr(dataset, "make_sample", seen_before)


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
    from recbole_apa.data import dataset

    def with_one_more(items, labels):
        items = items.take(np.concatenate([np.arange(len(items)), [0] * 17]))
        return LabelledItems(items, np.concatenate([labels, np.repeat(labels[:1], 17)]))

    patch.setattr(dataset, "LabelledItems", with_one_more)


FOLDER = []
PAIRS = [nothing_is_hidden, only_whole_users_are_hidden, one_row_of_a_pair_is_kept_of_the_request]
WAYS = [
    nothing_is_hidden,
    half_of_the_rows_are_hidden,
    digests_are_somebody_elses,
    somebody_else_is_hidden_too,
    statistics_count_what_is_hidden,
]


@pytest.mark.quick("nothing_is_hidden-asked0")
@pytest.mark.parametrize(
    ("broken", "asked"),
    [(way, {"users": ["u3"]}) for way in WAYS]
    + [(way, "pair") for way in [*PAIRS, histories_are_made_of_all_rows]]
    + [(way, {"items": ["i6"]}) for way in (nothing_is_hidden, half_of_the_rows_are_hidden)],
)
def test_hiding_that_is_broken_is_not_certified(broken, asked, finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    FOLDER[:] = [folder]
    asked = {"interactions": [shown_interaction(finished)]} if asked == "pair" else asked
    before = tree(folder)
    with monkeypatch.context() as patch:
        broken(patch)
        with pytest.raises(CertificateError, match="report it"):
            unlearn(folder, **asked)
    assert tree(folder) == before
    unlearn(folder, **asked)
    assert audit(folder).holds


@pytest.mark.slow
def test_a_state_that_kept_a_sample_is_not_certified(finished, tmp_path, monkeypatch):
    """The ledger has the request by then: it waits, the old state stays, and a program that is right finishes it."""
    folder = copy_run(finished, tmp_path / "run")
    old, lineage, item = state(folder), RunStore.save_lineage, item_at(finished, "u3", 3001)

    def keeping(self, seen):
        lineage(self, {**seen, "memory.safetensors": {**seen["memory.safetensors"], f"u3:{item}:3001": "00"}})

    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "save_lineage", keeping)
        with pytest.raises(CertificateError, match=r"1 samples in memory\.safetensors; \d+ rows in memory"):
            unlearn(folder, interactions=[("u3", item)])
    assert state(folder) == old and not (folder / "certificates").exists()
    unlearn(folder)
    assert audit(folder).holds and verify(folder).holds


def item_at(finished, user, time):
    rows = finished.data[0]._dataset.interactions
    return next(rows.items[r] for r in range(len(rows)) if rows.users[r] == user and rows.times[r] == time)


@pytest.mark.slow
def test_what_was_certified_by_a_broken_program_is_found_later(finished, tmp_path, monkeypatch):
    """Names are not known any more: rows of the raw files are recognised by keyed digests."""
    folder = copy_run(finished, tmp_path / "run")
    with monkeypatch.context() as patch:
        nothing_is_hidden(patch)
        for place in ("prepare.refuse_in_data", "exact.refuse_in_state"):
            patch.setattr(f"recbole_apa.unlearning.{place}", lambda *a: None)
        assert not unlearn(folder, interactions=[shown_interaction(finished)]).plan.affected
        assert any("can be reached: 1 rows of the data" in f for f in audit(folder).findings)
        assert any("can be reached: 1 rows of the data" in d for d in verify(folder).differences)
    assert any("the dataset" in f for f in audit(folder).findings)
    with pytest.raises(RunError, match="not the one that the run was made of"):
        verify(folder)


def test_the_check_imports_nothing_of_what_it_checks():
    for path in CHECK.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            ours = [n for n in names if n.startswith("recbole_apa")]
            assert all(n == "recbole_apa.core.errors" or n.startswith("recbole_apa.evidence.search") for n in ours), (
                path
            )


@pytest.mark.parametrize(
    ("text", "encoding", "separator", "n"),
    [
        ("user_id:token\titem_id:token\ttimestamp:float\na\tx\t3\na\ty\t4\nb\tx\t3\n", "utf-8", "\t", 2),
        ("\ufeffitem_id:token,user_id:token,timestamp:float\r\nx,a,3.0\r\ny,a,4\r\n", "utf-8", ",", 2),
        ("user_id:token\titem_id:token\ttimestamp:float\nä\tx\t3\na\tx\t3e0\n", "latin-1", "\t", 1),
        ('"user_id:token","item_id:token","timestamp:float"\n"a","x, or y","3"\n"a","x","3"\n', "utf-8", ",", 2),
        ("user_id:token::item_id:token::timestamp:float\na::x::3\nb::y::4\n", "utf-8", "::", 1),
    ],
)
def test_rows_of_a_user_are_found_in_files_as_people_have_them(text, encoding, separator, n, tmp_path):
    path = tmp_path / "d.inter"
    path.write_bytes(text.encode(encoding))
    raw = scan(RawFiles((path,), "user_id", "item_id", "timestamp", separator, encoding))
    sought = named(raw, [Name("a")])
    assert len({key for key in sought.keys if key.startswith("a:") and "%" not in key}) == n
    assert named(raw, [Name("a", "x", 3.0)]).has_id("a:x:3#2") and not named(raw, [Name("a", "x", 5.0)])
    assert not named(raw, [Name("nobody")]).keys


def test_a_state_and_an_export_are_looked_through_by_id(tmp_path):
    path = tmp_path / "d.inter"
    path.write_text("user_id:token\titem_id:token\na:b\tx\nc\tx\n")
    sought = named(scan(RawFiles((path,), "user_id", "item_id", None)), [Name("a:b", "x")])
    assert in_state(["a%3Ab:x", "c:x"], {}, {}, sought) == ["1 samples in partition.json"]
    assert in_state(["c:x"], {"m": ["c:x"]}, {"m": 2}, sought) == ["2 rows in m for 1 samples"]
    plain = named(scan(RawFiles((path,), "user_id", "item_id", None)), [Name("a:b", "x")], plain=True)
    assert in_state(["a:b:x#2"], {}, {}, plain) == ["1 samples in partition.json"]
    (tmp_path / "test.jsonl").write_text('{"sample_id": "a%3Ab:x", "history": []}\n')
    assert in_exports([tmp_path], {"test": []}, sought) == [f"1 lines of {tmp_path / 'test.jsonl'}"]


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


def test_lines_of_an_export_that_are_no_samples_are_found(tmp_path):
    (tmp_path / "train.jsonl").write_text('no JSON\n{"a": 1}\n[]\n')
    sought = Sought(users=frozenset({"u"}))
    assert in_exports([tmp_path], {"train": []}, sought) == [f"3 lines of {tmp_path / 'train.jsonl'}"]
