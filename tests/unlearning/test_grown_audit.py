"""The audit of runs that have grown: what joined a run again is no trace, and each fault is found once."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from recbole_apa import audit, unlearn, verify
from recbole_apa.core.errors import RunError
from recbole_apa.data.index.change import Change
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.write import write_index
from recbole_apa.data.tokens import Tokens
from recbole_apa.evidence import key_ring
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.ledger_lines import ADDED
from recbole_apa.runs.names import INCOMING, INDEX, KEY
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.additions.incoming import Incoming
from recbole_apa.unlearning.additions.incoming_files import keep_incoming
from recbole_apa.unlearning.proof import quick
from recbole_apa.unlearning.stage import data_left
from tests.helpers.grown_states import add_rows, change_index, close_again, settle
from tests.helpers.index_rows import rows_of
from tests.helpers.killed_process import fresh_copy

AGAIN = ("u3", "i1", 3000.0, 5.0)
"""The first row of u3, whom the run forgot, with the time that it had."""
LATER = ("u3", "i0", 90000.0, 5.0)


@pytest.fixture(scope="module")
def readmitted(uncounted_served, tmp_path_factory):
    """A run that forgot u3, and whom two of u3's rows joined then: one that was forgotten, and one that is new."""
    folder = fresh_copy(uncounted_served, tmp_path_factory.mktemp("readmitted") / "run")
    assert add_rows(folder, [AGAIN, LATER]) == 3
    return folder


@pytest.fixture
def folder(readmitted, tmp_path):
    return fresh_copy(readmitted, tmp_path / "run")


def rows_of_u3(folder):
    index = RunStore(folder).open_index()
    rows = index.rows_of_users(["u3"])
    return list(zip(rows.items.texts(), rows.times.tolist(), rows.since.tolist(), strict=True))


@pytest.mark.slow
def test_what_joined_again_is_no_finding(folder, monkeypatch):
    assert rows_of_u3(folder) == [("i1", 3000.0, 1), ("i0", 90000.0, 1)]
    assert audit(folder).findings == []
    monkeypatch.setattr(quick, "surveyed", lambda *args: None)
    assert audit(folder).findings == []


@pytest.mark.slow
def test_it_is_forgotten_again_and_joins_again(folder):
    plan = unlearn(folder, users=["u3"], dry_run=True).plan
    assert plan.n_interactions == 2 and not plan.affected
    unlearn(folder, interactions=[("u3", "i1", 3000)])
    assert rows_of_u3(folder) == [("i0", 90000.0, 1)] and audit(folder).findings == []
    unlearn(folder, users=["u3"])
    assert rows_of_u3(folder) == [] and audit(folder).findings == []
    assert add_rows(folder, [AGAIN]) == 9
    assert rows_of_u3(folder) == [("i1", 3000.0, 2)] and audit(folder).findings == []
    # named by another request for what the addition brought, although the item has many rows
    unlearn(folder, items=["i1"])
    assert rows_of_u3(folder) == [] and audit(folder).findings == []
    assert add_rows(folder, [AGAIN]) == 13
    assert rows_of_u3(folder) == [("i1", 3000.0, 3)] and audit(folder).findings == []


@pytest.mark.slow
def test_the_verification_knows_who_joined_again(folder):
    """The data file has the old rows of u3 still."""
    assert verify(folder).differences == []
    unlearn(folder, interactions=[("u3", "i1", 3000)], exactness="strict")
    assert verify(folder).differences == [] and audit(folder).findings == []


@pytest.mark.slow
def test_a_row_from_before_the_request_is_found_beside_the_one_that_joined_again(folder):
    """Both have the same user, item and time."""
    old = rows_of(["u3"], ["i1"], [3000.0], values=[5.0], places=[10**6], roles=[0], flags=[3])
    change_index(folder, Change(added=old))
    settle(folder, {})
    findings = audit(folder).findings
    assert findings[1:] == ["1 forgotten interactions in index/"]
    assert "manifest.json was changed after the last addition was carried out" in findings[0]


def edited_additions(folder, **entries):
    """Change what the index says of its first addition."""
    path = folder / INDEX / "index.json"
    text = json.loads(path.read_text())
    text["additions"][0].update(entries)
    path.write_text(json.dumps(text, indent=1, sort_keys=True) + "\n")


def unsealed_index(folder):
    return Index(folder / INDEX, RunStore(folder).salt)


def rewritten(folder, change):
    """Write the index again with other rows."""
    index = unsealed_index(folder)
    rows, about = index.all_rows(), index.facts.about
    shutil.rmtree(folder / INDEX)
    write_index(folder / INDEX, change(rows), RunStore(folder).salt, about, n_parts=index.n_parts)


def resealed(folder, entries=None):
    """Let manifest and ledger agree on what is there."""
    RunStore(folder).seal(entries or {})
    close_again(folder)


def at_another_line(folder):
    edited_additions(folder, position=1)
    resealed(folder)


def before_the_request(folder):
    edited_additions(folder, position=0)
    resealed(folder)


def another_number(folder):
    edited_additions(folder, rows=3)
    resealed(folder)


def too_few(folder):
    edited_additions(folder, rows=1)
    resealed(folder)


def another_piece(folder):
    edited_additions(folder, piece=2)
    resealed(folder)


def of_no_addition(folder):
    def change(rows):
        rows.since[rows.since == 1] = 2
        return rows

    rewritten(folder, change)
    resealed(folder)


def not_served(folder):
    served = RunStore(folder).manifest()["served_requests"]
    resealed(folder, {"served_requests": served[:1]})


def served_what_is_not_there(folder):
    served = RunStore(folder).manifest()["served_requests"]
    resealed(folder, {"served_requests": [*served, "ab" * 32]})


def left_over(folder):
    write_index(folder / INCOMING, rows_of(["u5"], ["i1"], [1.0]), "", unsealed_index(folder).facts.about, n_parts=1)


def named_by_a_file(folder):
    (folder / "figures").mkdir(exist_ok=True)
    (folder / "figures" / "x.txt").write_text("u3:i1:3000 u3:i4:3001 u3:i0:90000 u4:i2:4000\n")
    resealed(folder)


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (
            at_another_line,
            [
                "the addition in line 3 of the ledger is not in the index",
                "the index has an addition of line 1 of the ledger, which is none that was carried out",
            ],
        ),
        (
            before_the_request,
            [
                "positions of additions are not in order",
                "the addition in line 3 of the ledger is not in the index",
                "the index has an addition of line 0 of the ledger, which is none that was carried out",
                "2 forgotten interactions in index/",
                "1 forgotten names in index/",
            ],
        ),
        (another_number, ["the addition in line 3 of the ledger has 2 interactions, in the index 3"]),
        (too_few, ["addition 1 brought 1 rows, and has 2", "has 2 interactions, in the index 1"]),
        (another_piece, ["the pieces of additions are not 1, 2, and so on after those of 0"]),
        (
            of_no_addition,
            ["since is out of range: found 0 to 2, expected 0 to 1", "has a row of addition 2, and lists 1"],
        ),
        (not_served, ["says that the addition in line 3 was carried out, and manifest.json does not"]),
        (served_what_is_not_there, ["manifest.json names 1 requests or additions as carried out that are not"]),
        (left_over, ["incoming/ is there, and no addition waits for its rows: a leftover"]),
        (named_by_a_file, ["figures/x.txt names 1 forgotten interactions"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_is_found_once(plant, expected, folder):
    plant(folder)
    findings = audit(folder).findings
    assert [sum(says in f for f in findings) for says in expected] == [1] * len(findings), findings


def test_incoming_rows_are_accounted_for_while_their_line_waits(folder):
    store, key = RunStore(folder), key_ring(None).key(RunStore(folder).manifest()[KEY])
    kept = Incoming(Tokens.of(["u5"]), Tokens.of(["i1"]), np.array([1.0]), np.array([4.0]))
    content = {"n_rows": 1, "rows": keep_incoming(store, kept, key), "readmits": [], KEY: key.name}
    Ledger(folder, store.salt).append(ADDED, content)
    waits = "the addition in line 5 of the ledger waits to be carried out"
    assert audit(folder).findings == [waits]
    keep_incoming(store, replace(kept, values=np.array([5.0])), key)
    says = f"{folder}/incoming has other rows than were taken: restore the run folder from a copy"
    assert audit(folder).findings == [waits, says]
    odd = replace(rows_of(["u5"], ["i1"], [1.0], values=[4.0]), roles=np.array([9], dtype=np.int8))
    shutil.rmtree(folder / INCOMING)
    write_index(folder / INCOMING, odd, store.salt, About(), n_parts=1)
    assert any("role is out of range" in found for found in audit(folder).findings)
    keep_incoming(store, kept, key)
    assert audit(folder).findings == [waits]
    (folder / INCOMING / "notes.txt").write_text("x")
    (folder / INCOMING / "items.arrow").unlink()
    assert audit(folder).findings == [
        f"{INCOMING}/notes.txt is not part of the run: a temporary file or a leftover",
        f"{INCOMING}/items.arrow is missing, and an addition waits for it",
        waits,
    ]


def test_positions_that_no_ledger_can_have_are_refused(folder):
    edited_additions(folder, position=10**30)
    RunStore(folder).seal({})
    assert any("additions is not as this program writes it" in f for f in audit(folder).findings)


def test_rows_are_found_by_the_check_as_they_are_in_the_index(folder):
    from recbole_apa.evidence.search import scan_index, scan_names

    raw = scan_index(folder / INDEX)
    told = {raw.row(r): int(raw.added[r]) for r in range(len(raw)) if raw.added[r]}
    assert told == {("u3", "i1", 3000.0): 3, ("u3", "i0", 90000.0): 3}
    some = scan_index(folder / INDEX, {"u3"})
    assert {some.row(r) for r in np.flatnonzero(some.added)} == told.keys()
    assert len(scan_names(folder / INDEX)) == 0
    both = scan_index(folder / INDEX, set()).and_rows(some)
    assert len(both) == len(some) and both.row(0) == some.row(0)


@pytest.mark.slow
def test_what_would_be_left_is_told_without_finishing_anything(finished, tmp_path):
    """It finished what a killed call had left, without the run's lock."""
    from recbole_apa import evaluate_run

    opened = evaluate_run(fresh_copy(finished.run_dir, tmp_path / "run"))
    (opened.run_dir / "pending").mkdir()
    assert len(data_left(opened, users=["u3"]).train_set.samples)
    assert (opened.run_dir / "pending").is_dir()
    store = RunStore(opened.run_dir)
    Ledger(opened.run_dir, store.salt).append(ADDED, {"n_rows": 1, "rows": "ab", "readmits": [], KEY: "00" * 8})
    with pytest.raises(RunError, match="waiting to be carried out"):
        data_left(opened, users=["u3"])
