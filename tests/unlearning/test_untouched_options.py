"""Requests from the index alone leave what the long way leaves, however rows are filtered and split."""

import random
import shutil

import pytest

from recbole_apa import audit, run, unlearn
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning import light_stage
from tests.helpers.runs import state
from tests.helpers.split_options import labelled
from tests.helpers.unseen import unseen_rows

WAYS = {
    "default": {},
    "tallrec": {"protocol": "tallrec", "valid_samples": 6},
    "leave_one_out": labelled({"LS": "valid_and_test"}),
    "random": labelled({"RS": [0.6, 0.2, 0.2]}, "RO"),
    "by_time": labelled({"TS": [0.6, 0.2, 0.2]}),
    "all_together": {**labelled({"RS": [6, 2, 2]}, group_by=None), "val_interval": {"rating": "[2,5]"}},
    "first_of_repeats": {"rm_dup_inter": "first"},
    "last_of_repeats": {"rm_dup_inter": "last"},
    "repeats_of_low_values": {"rm_dup_inter": "last", "val_interval": {"rating": "[3,inf)"}},
    "first_of_low_values": {"rm_dup_inter": "first", "val_interval": {"rating": "[3,inf)"}},
    "items_by_value": {"val_interval": {"year": "[1993,inf)"}, "filter_inter_by_user_or_item": False},
    "timeless": {"load_col": {"inter": ["user_id", "item_id", "rating"], "item": ["item_id", "title", "year"]}},
    "filtered_by_count": {"user_inter_num_interval": "[3,inf)", "item_inter_num_interval": "[2,inf)"},
    "long_histories": {"min_history": 3, "MAX_ITEM_LIST_LENGTH": 9},
}


def write_ratings(folder, rng):
    """Ratings with repeats, equal times, users of one row and items of one, in no order."""
    folder.mkdir(parents=True)
    rows = [
        (f"u{rng.randrange(14)}", f"i{rng.randrange(16)}", rng.randint(1, 5), rng.randrange(60)) for _ in range(260)
    ]
    rows += rng.sample(rows, 12)
    rows += [(user, item, 6 - rating, time + 7) for user, item, rating, time in rng.sample(rows, 12)]
    rows += [("alone", "i3", 4, 5), ("u2", "rare", 4, 50), ("u3", "i1", 1, 0)]
    rng.shuffle(rows)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    lines += ["\t".join(map(str, row)) for row in rows]
    (folder / "ratings.inter").write_text("\n".join(lines) + "\n")
    items = [f"i{n}\tFilm {n}\t{1990 + n}" for n in range(16)] + ["rare\tRare\t1999"]
    (folder / "ratings.item").write_text("\n".join(["item_id:token\ttitle:token_seq\tyear:float", *items]) + "\n")


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ratings")
    write_ratings(folder / "ratings", random.Random(5))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_both_ways_leave_the_same(way, options, ratings, tmp_path, monkeypatch):
    own = {"data_path": str(ratings), "train_samples": 16, "valid_samples": 6, "test_samples": 6, "n_shards": 2}
    made = run("APA", "ratings", config_dict={**options, **own, "epochs": 1, **WAYS[way]}, run_dir=tmp_path / "run")
    short, long = made.run_dir, tmp_path / "long"
    shutil.copytree(short, long)
    named = random.Random(1).sample(unseen_rows(made), 5)
    asked = [*({"interactions": [row]} for row in named[:3]), {"users": ["alone"]}, {"items": ["rare"]}]
    asked += [{"interactions": named[3:]}, {"users": ["u5"]}]
    n_short = 0
    for request in asked:
        plan = unlearn(short, **request, dry_run=True).plan
        done = unlearn(short, **request)
        n_short += not done.plan.affected
        with monkeypatch.context() as patch:
            patch.setattr(light_stage, "open_light", lambda *args: None)
            expected = unlearn(long, **request, dry_run=True).plan
            unlearn(long, **request)
        assert sorted(map(str, plan.affected)) == sorted(map(str, expected.affected))
        assert (plan.shards, plan.n_kept) == (expected.shards, expected.n_kept)
        assert state(short) == state(long), request
        of_both = [RunStore(folder).manifest() for folder in (short, long)]
        for name in ("draw", "chosen", "dataset", "identity_digest"):
            assert of_both[0][name] == of_both[1][name], name
    assert n_short >= 3
    for folder in (short, long):
        assert audit(folder).findings == []


@pytest.mark.slow
def test_a_run_whose_names_stand_in_further_columns_forgets_without_an_index(options, ratings, tmp_path):
    shutil.copytree(ratings, tmp_path / "data")
    file = tmp_path / "data" / "ratings" / "ratings.inter"
    head, *rows = file.read_text().splitlines()
    friends = [f"{head}\tfriend:token", *(f"{row}\tu{n % 9}" for n, row in enumerate(rows))]
    file.write_text("\n".join(friends) + "\n")
    columns = {"inter": ["user_id", "item_id", "rating", "timestamp", "friend"], "item": ["item_id", "title", "year"]}
    own = {"data_path": str(tmp_path / "data"), "train_samples": 16, "valid_samples": 6, "test_samples": 6}
    given = {**options, **own, "n_shards": 2, "epochs": 1, "load_col": columns, "alias_of_user_id": ["friend"]}
    made = run("APA", "ratings", config_dict=given, run_dir=tmp_path / "run")
    assert not RunStore(made.run_dir).has_index()
    unlearn(made.run_dir, interactions=unseen_rows(made)[:1])
    unlearn(made.run_dir, users=["u3"])
    assert audit(made.run_dir).holds
