"""A run that grows, forgets, takes back and forgets again: after each step, nothing is where it should not be."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from recbole_apa import audit, evaluate_run, unlearn, verify
from recbole_apa.core.errors import RequestError
from recbole_apa.data.index.write import write_index
from recbole_apa.evidence.search import scan_index
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.names import INDEX, PIECES
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.additions.stage import add
from recbole_apa.unlearning.approximate.unlearner import Part
from recbole_apa.unlearning.plan import TOO_SHORT
from recbole_apa.unlearning.proof import quick
from tests.helpers.grown_states import close_again
from tests.helpers.killed_process import fresh_copy
from tests.helpers.old_runs import OLD as OLD_RUNS
from tests.helpers.old_runs import PLACES, new_differences

pytestmark = pytest.mark.slow

START = 90_000
OLD = ("u3", "i1", 5, 3000)
"""The first row that u3 has in the data file."""


def later(user, start=START, n=16):
    return [(user, f"i{k % 20}", 5 if k % 2 else 2, start + k) for k in range(n)]


@pytest.fixture(scope="module")
def grown(finished, tmp_path_factory, work_folder):
    """A run with two additions."""
    folder = fresh_copy(finished.run_dir, tmp_path_factory.mktemp("turns") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        add(folder, [*later("u1"), *later("new")])
        add(folder, [*later("u1", 2 * START), *later("new", 2 * START)])
    return folder


@pytest.fixture
def folder(grown, tmp_path):
    return fresh_copy(grown, tmp_path / "run")


def holds(folder, monkeypatch):
    """Both ways of the audit find nothing."""
    found = audit(folder).findings
    with monkeypatch.context() as patch:
        patch.setattr(quick, "surveyed", lambda *args: None)
        return found == audit(folder).findings == []


def lines_of(folder, user):
    """The ledger's lines that brought a user's rows, 0 for those of the data file."""
    raw = scan_index(folder / INDEX)
    added = np.zeros(len(raw)) if raw.added is None else raw.added
    return sorted({int(added[r]) for r in range(len(raw)) if raw.row(r)[0] == user})


def samples_of(folder, user):
    store = RunStore(folder)
    return sorted({name for ids in store.lineage().values() for name in ids if name.startswith(f"{user}:")})


@pytest.mark.parametrize("exactness", ["inherited", "strict", "fresh"])
def test_it_takes_back_and_forgets_again(exactness, folder, monkeypatch):
    assert holds(folder, monkeypatch) and lines_of(folder, "new") == [1, 3]
    unlearn(folder, users=["u3"], exactness=exactness)  # line 5
    assert holds(folder, monkeypatch) and lines_of(folder, "u3") == samples_of(folder, "u3") == []
    back = [OLD, *later("u3", 3 * START)]
    with pytest.raises(RequestError, match=r"rows that name a user.* and 12 more"):
        add(folder, back)
    add(folder, back, readmit=True)  # line 7
    assert holds(folder, monkeypatch) and lines_of(folder, "u3") == [7] and samples_of(folder, "u3")
    unlearn(folder, interactions=[(*OLD[:2], OLD[3])], exactness=exactness)  # line 9
    assert holds(folder, monkeypatch) and lines_of(folder, "u3") == [7]
    assert verify(folder).differences == []
    unlearn(folder, users=["u3", "new"], exactness=exactness)
    assert holds(folder, monkeypatch) and lines_of(folder, "u3") == lines_of(folder, "new") == []
    assert samples_of(folder, "u3") == samples_of(folder, "new") == []
    add(folder, [OLD], readmit=True)  # line 13
    assert holds(folder, monkeypatch) and lines_of(folder, "u3") == [13]
    assert verify(folder).differences == []


def test_an_item_is_forgotten_and_joins_again(folder, monkeypatch):
    unlearn(folder, items=["i6"])
    assert holds(folder, monkeypatch)
    add(folder, [("u5", "i6", 5, 3 * START)], readmit=True)
    assert holds(folder, monkeypatch) and verify(folder).differences == []
    unlearn(folder, items=["i6"])
    assert holds(folder, monkeypatch) and "i6" not in scan_index(folder / INDEX).item_names


def exchange(folder):
    """Let the index say that a sample of the first addition came with the second, and the other way round."""
    store = RunStore(folder)
    index, pieces = store.open_index(), store.load_pieces()
    rows, about = index.all_rows(), index.facts.about
    since = rows.since.copy()
    names = [f"{u}:{i}:{int(t)}" for u, i, t in zip(rows.users, rows.items, rows.times, strict=True)]
    one, two = (next(n for n, name in enumerate(names) if pieces.get(name) == piece) for piece in (1, 2))
    since[[one, two]] = 2, 1
    shutil.rmtree(folder / INDEX)
    write_index(folder / INDEX, replace(rows, since=since), store.salt, about, n_parts=index.n_parts)


def other_piece(folder):
    """The same in ``pieces.json``, with lineage and all."""
    path = folder / PIECES
    path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), 1), indent=1, sort_keys=True) + "\n")


def test_pieces_that_the_index_does_not_give_are_found(folder, monkeypatch):
    exchange(folder)
    RunStore(folder).seal({})
    close_again(folder)
    says = [f"{PIECES} does not say what the index says of when samples joined the run (4 entries differ)"]
    assert audit(folder).findings == says
    monkeypatch.setattr(quick, "surveyed", lambda *args: None)
    assert audit(folder).findings == says


def test_pieces_that_others_were_trained_in_are_found(folder):
    other_piece(folder)
    RunStore(folder).seal({})
    close_again(folder)
    findings = audit(folder).findings
    assert len([f for f in findings if f.startswith(f"{PIECES} does not say")]) == 1
    assert any("was trained on other samples" in f for f in findings)


@pytest.mark.parametrize("name", ["plain", "forgotten"])
def test_a_run_of_the_oldest_version_grows(name, tmp_path):
    """Its digests are keyed first, which is a line of the ledger; and it gets an index."""
    folder = shutil.copytree(OLD_RUNS / name / "run", tmp_path / "run")
    add(folder, later("u7"), readmit=name == "forgotten", config_dict=PLACES)
    assert audit(folder, PLACES).findings == [] and not new_differences(folder, name)
    ledger = Ledger(folder, RunStore(folder).salt)
    hides = {digest for entry in ledger.requests() for digest in entry.content["names"]}
    (line,) = ledger.additions()
    assert set(line.content["readmits"]) <= hides and bool(line.content["readmits"]) == bool(hides)
    unlearn(folder, users=["u7"], config_dict=PLACES)
    assert audit(folder, PLACES).findings == [] and lines_of(folder, "u7") == []


def test_what_joined_again_is_not_said_to_be_forgotten(served, tmp_path):
    """All rows of u3 join again as they were, so their digests are those of the request for u3."""
    folder = fresh_copy(served, tmp_path / "run")
    rows = [("u3", f"i{(3 * k + 1) % 20}", 5 if k % 2 == 0 else 2, 3000 + k) for k in range(16)]
    add(folder, rows, readmit=True)
    assert audit(folder).findings == []
    first = min(int(name.split(":")[2]) for name in samples_of(folder, "u3"))
    asked = [(user, item, time) for user, item, _, time in rows if time < first]
    opened = evaluate_run(folder)
    plans = [unlearn(run, interactions=asked, dry_run=True).plan for run in (folder, opened)]
    assert plans[0].affected == plans[1].affected
    (reason,) = [a.reason for a in plans[1].affected if a.sample_id.endswith(f":{first}")]
    assert reason == TOO_SHORT
    valid = opened.data.valid_set
    assert any(s.user_id == "u3" for s in valid.samples)
    assert len(Part.untouched(valid, opened.model, valid.visible_data)) == len(valid.samples)
