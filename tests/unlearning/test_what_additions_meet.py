"""Additions at the edges: malformed, early and filtered rows, runs of added rows alone, and reasons in plans."""

import shutil

import pytest

from recbole_apa import add, audit, run, unlearn, verify
from recbole_apa.core.errors import RequestError
from recbole_apa.data.samples import HistoryEntry, Sample
from recbole_apa.partition.assignment import Assignment
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.plan import ARTEFACTS, FILTERED, JUDGED, SHOWN, Trained, make_plan
from recbole_apa.unlearning.session import Session
from tests.helpers.killed_process import fresh_copy
from tests.helpers.runs import tree

START = 90_000


def later(user, start=START, n=16):
    return [(user, f"i{k % 20}", 5 if k % 2 else 2, start + k) for k in range(n)]


def test_malformed_rows_are_refused_before_anything_is_loaded(finished, tmp_path, monkeypatch):
    folder = fresh_copy(finished.run_dir, tmp_path / "run")
    monkeypatch.setattr(Session, "load", lambda *args, **kwargs: pytest.fail("the run was loaded"))
    (tmp_path / "new.csv").write_text("user_id,item_id,rating,timestamp\nu1,i1,five,90000\n")
    before = tree(folder)
    for dry_run in (True, False):
        with pytest.raises(RequestError, match="line 2: column rating: found 'five', expected a number"):
            add(folder, tmp_path / "new.csv", dry_run=dry_run)
    assert tree(folder) == before


@pytest.fixture(scope="module")
def listed(options, tmp_path_factory, work_folder):
    """A run that takes rows of listed items alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(work_folder)
        changes = {**options, "filter_inter_by_user_or_item": True}
        return run("APA", "board", config_dict=changes, run_dir=tmp_path_factory.mktemp("listed") / "run").run_dir


@pytest.mark.slow
def test_an_early_row_that_no_history_can_show_joins(listed, tmp_path):
    folder = fresh_copy(listed, tmp_path / "run")
    with pytest.raises(
        RequestError,
        match=r"^found rows that are no later than .*\): the call, row 2; nothing",
    ):
        add(folder, [("u1", "unlisted", 5, 1000), ("u1", "i3", 5, 1000)])
    out = add(folder, [("u1", "unlisted", 5, 1000)])
    assert sum(out.plan.roles.values()) == 0 and out.position == 1
    assert audit(folder).findings == [] and verify(folder).differences == []


def emptied(data_folder, tmp_path, left=()):
    """The dataset with the header, and the rows of some users, alone."""
    folder = tmp_path / "data/board"
    shutil.copytree(data_folder / "board", folder)
    inter = folder / "board.inter"
    head, *rows = inter.read_text().splitlines(keepends=True)
    inter.write_text("".join([head, *(row for row in rows if row.split("\t")[0] in left)]))
    return {"data_path": str(tmp_path / "data")}


def users_of_file(data_folder):
    rows = (data_folder / "board/board.inter").read_text().splitlines()[1:]
    return sorted({row.split("\t")[0] for row in rows})


@pytest.mark.slow
def test_a_run_of_added_rows_alone_is_opened_with_an_emptied_file(finished, data_folder, tmp_path):
    folder = fresh_copy(finished.run_dir, tmp_path / "run")
    add(folder, [row for k in range(6) for row in later(f"new{k}", START + 100 * k)])
    unlearn(folder, users=users_of_file(data_folder))
    where = emptied(data_folder, tmp_path)
    assert audit(folder, where).findings == [] and verify(folder, where).differences == []
    unlearn(folder, users=["new0"], config_dict=where)
    assert audit(folder, where).findings == []
    add(folder, later("new7", 2 * START), config_dict=where)
    unlearn(folder, items=["i3"], config_dict=where)
    assert audit(folder, where).findings == [] and verify(folder, where).differences == []
    assert set(RunStore(folder).open_index().all_rows().since.tolist()) == {1, 2}


def sample(name, *history):
    shown = tuple(HistoryEntry(f"i{n}", 1, f"u:i{n}:{n}") for n in history)
    return Sample(f"u:i{name}:{name}", "u", f"i{name}", 1, shown)


def reason(before, after, forgotten, judged=((), ())):
    """Why the plan says that a training sample is rewritten.

    Args:
        judged: validation samples, before and after.
    """
    splits = [{"train": [one], "valid": list(of), "test": []} for one, of in zip((before, after), judged, strict=True)]
    lineage = {ARTEFACTS[name]: {s.sample_id: s.digest() for s in found} for name, found in splits[0].items()}
    trained = Trained(lineage, Assignment({before.sample_id: 0}, 1), {}, splits[0])
    plan = make_plan(1, trained, splits[1], {f"u:i{n}:{n}" for n in forgotten}.__contains__)
    (found,) = [a.reason for a in plan.affected if a.split == "train"]
    return found


def test_a_plan_says_why_a_sample_is_rewritten():
    assert reason(sample(9, 1, 2), sample(9, 1), [2]) == SHOWN
    valid = sample(5, 1)
    assert reason(sample(9, 6), sample(9, 5, 6), [1], ([valid], [])) == JUDGED
    assert reason(sample(9, 1, 6), sample(9, 5, 6), [1], ([valid], [])) == SHOWN  # both: a forgotten one comes first
    assert reason(sample(9, 6), sample(9, 5, 6), [1], ([valid], [valid])) == FILTERED
    assert reason(sample(9, 3, 6), sample(9, 6), [1]) == FILTERED
