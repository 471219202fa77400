"""People's ordinary files, and what is forgotten of them."""

import pytest

from recbole_apa import audit, run, unlearn, verify
from tests.helpers.field_files import OPTIONS, presplit

pytestmark = pytest.mark.slow


def pairs_of(dataset) -> set[tuple[str, str]]:
    return set(zip(dataset.interactions.users, dataset.interactions.items, strict=True))


@pytest.mark.parametrize("exactness", ["inherited", "strict"])
def test_01_rows_of_presplit_files_are_forgotten(files, options, tmp_path, exactness):
    """8 interactions, 0 samples affected, a certificate, and u1 in every prompt still."""
    presplit(files)
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    changes["benchmark_filename"] = ["train", "valid", "test"]
    changes["export_samples"] = str(tmp_path / "export")
    made = run("APA", "small", config_dict=changes, run_dir=tmp_path / "run")
    splits = made.data[0]._dataset.splits
    assert {name: len(part) for name, part in splits.items()} == {"train": 20, "valid": 4, "test": 4}
    done = unlearn(tmp_path / "run", users=["u1"], exactness=exactness)
    assert (done.plan.n_interactions, len(done.plan.affected)) == (8, 7)
    left = done.outcomes[0].result.data[0]._dataset
    assert "u1" not in set(left.interactions.users) | {s.user_id for part in left.splits.values() for s in part}
    assert "u1" not in (tmp_path / "export" / "train.jsonl").read_text()
    assert audit(tmp_path / "run").findings == [] and verify(tmp_path / "run").differences == []


@pytest.mark.parametrize("keep", ["first", "last"])
@pytest.mark.parametrize("exactness", ["inherited", "strict"])
def test_a_forgotten_pair_does_not_come_back_through_a_filter(files, options, tmp_path, keep, exactness):
    """u3 rated i16 three times; hiding the row that survived let the next duplicate in."""
    files.inter += [f"u3\ti1\t{rating}\t{3000 + time}" for rating, time in ((5, 20), (2, 40), (5, 60))]
    files.inter += [f"u3\ti{i}\t{rating}\t{3100 + i}" for i, rating in ((5, 5), (6, 2), (7, 5))]
    files.write()
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    made = run("APA", "small", config_dict={**changes, "rm_dup_inter": keep}, run_dir=tmp_path / "run")
    assert ("u3", "i1") in pairs_of(made.data[0]._dataset)
    done = unlearn(tmp_path / "run", interactions=[("u3", "i1")], exactness=exactness)
    assert done.plan.n_interactions == 4  # all of them, not the one that the filter had let through
    left = done.outcomes[0].result.data[0]._dataset
    assert ("u3", "i1") not in set(zip(left.interactions.users, left.interactions.items, strict=True))
    assert not any(
        e.item_id == "i1" for part in left.splits.values() for s in part if s.user_id == "u3" for e in s.history
    )
    assert audit(tmp_path / "run").holds and verify(tmp_path / "run").holds


def test_what_filters_keep_out_can_be_forgotten_too(files, options, tmp_path):
    """u9 has too few rows to be in any sample; deleting other rows must not let them in later."""
    files.inter += ["u9\ti1\t5\t9000"]
    files.write()
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    run("APA", "small", config_dict={**changes, "user_inter_num_interval": "[3,inf)"}, run_dir=tmp_path / "run")
    done = unlearn(tmp_path / "run", users=["u9"])
    assert done.plan.n_interactions == 1 and not done.plan.affected and done.certificates
    assert "u9" not in set(done.outcomes[0].result.data[0]._dataset.raw_interactions.users)
    assert audit(tmp_path / "run").holds


def test_ids_with_colons_and_blanks_are_not_taken_for_others(files, options, tmp_path):
    """User "a:b" of item "c" and user "a" of item "b:c" have the same row id; only one of them is forgotten."""
    rows = [("a:b", "c"), ("a", "b:c")]
    for n, (user, item) in enumerate(rows):
        files.inter += [f"{user}\ti{i}\t{5 if i % 2 else 2}\t{100 + 10 * n + i}" for i in range(5)]
        files.inter.append(f"{user}\t{item}\t5\t500")
        files.inter += [f"{user}\ti{i}\t{5 if i % 2 else 2}\t{600 + 10 * n + i}" for i in range(5, 8)]
        files.item.append(f"{item}\tFilm {item}\t1999")
    files.write()
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    run("APA", "small", config_dict=changes, run_dir=tmp_path / "run")
    done = unlearn(tmp_path / "run", interactions=[rows[0]])
    pairs = pairs_of(done.outcomes[0].result.data[0]._dataset)
    assert rows[1] in pairs and rows[0] not in pairs
    assert audit(tmp_path / "run").holds and verify(tmp_path / "run").holds


def test_a_run_without_test_samples_left_still_holds(files, options, tmp_path):
    files.write()
    changes = {**options, **OPTIONS, "data_path": str(files.folder.parent), "n_shards": 2, "epochs": 1}
    made = run("APA", "small", config_dict=changes, run_dir=tmp_path / "run")
    tested = [(s.user_id, s.item_id) for s in made.data[0]._dataset.splits["test"]]
    unlearn(tmp_path / "run", interactions=tested)
    assert audit(tmp_path / "run").findings == []
