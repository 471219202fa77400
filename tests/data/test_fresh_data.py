"""Rows hidden and rows deleted by hand are the same dataset: split, draw, numbers, texts, digest; many, by chance.

This is what ``exactness: fresh`` rests on; ``test_fresh.py`` shows what is trained on it.
"""

import random

import pytest
from recbole.utils import init_seed

from recbole_apa import APAConfig
from recbole_apa.core.errors import DataError
from recbole_apa.data.forgotten import ITEM, PAIR, ROW, USER, Digester, Forgotten, Scope, digests_of
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence.key import Key
from recbole_apa.pipeline.datasets import make_dataset

HEAD = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
PARTS = ("train", "valid", "test")
ITEM_HEAD = "item_id:token\ttitle:token_seq\tyear:float"
SPLITS = (
    {"RS": [0.8, 0.1, 0.1]},
    {"RS": [7, 2, 1]},
    {"LS": "valid_and_test"},
    {"LS": "test_only"},
    {"TS": [0.8, 0.1, 0.1]},
)


def drawn_by_chance(chance):
    """Rows of a small dataset, and options of reading it."""
    users, items = [f"u{k}" for k in range(chance.randint(3, 9))], [f"i:{k}" for k in range(chance.randint(4, 12))]
    times = chance.choice((10, 100_000))  # equal times now and then, or hardly ever
    rows = [
        (chance.choice(users), chance.choice(items), chance.choice((1, 2, 4, 5)), chance.randrange(times))
        for _ in range(chance.randint(40, 160))
    ]
    columns = ["user_id", "item_id", "rating", *chance.choice((["timestamp"], ["timestamp"], []))]
    some = [f"{item}\tFilm {k}\t{1980 + k}" for k, item in enumerate(items) if chance.random() < 0.8]
    options = {
        "load_col": {"inter": columns, "item": ["item_id", "title", "year"]},
        "item_text": chance.choice(("{title} ({year})", "{title}")),
        "eval_args": {
            "split": chance.choice(SPLITS),
            "order": chance.choice(("TO", "TO", "RO")),
            "group_by": chance.choice(("user", "user", None)),
            "mode": "labeled",
        },
        "rm_dup_inter": chance.choice((None, None, "first", "last")),
        "user_inter_num_interval": chance.choice((None, "[5,inf)")),
        "item_inter_num_interval": chance.choice((None, "[4,inf)")),
        "val_interval": chance.choice((None, None, {"rating": "[2,5]"})),
        "protocol": chance.choice(("recbole", "recbole", "tallrec")),
        "benchmark_filename": None,
        "MAX_ITEM_LIST_LENGTH": chance.choice((1, 4)),
        "min_history": chance.choice((1, 1, 3)),
        **{f"{part}_samples": chance.choice((None, 3, 10)) for part in PARTS},
    }
    if "timestamp" not in columns and "TS" in options["eval_args"]["split"]:
        options["eval_args"]["split"] = SPLITS[0]
    if chance.random() < 0.2:
        options |= {"benchmark_filename": list(PARTS), "protocol": "recbole"}
    return [(*row, chance.choice(PARTS)) for row in rows], [ITEM_HEAD, *some], options


def request_by_chance(chance, rows, timed):
    """What hides rows, and which rows those are."""
    digester, named = Digester("salt", Key(b"k" * 32)), []
    for _ in range(chance.randint(1, 4)):
        user, item, _, time, _ = chance.choice(rows)
        kind = chance.choice((USER, ITEM, PAIR, *((ROW,) if timed else ())))
        wanted = {USER: (user, None, None), ITEM: (None, item, None), PAIR: (user, item, None)}.get(
            kind, (user, item, float(time))
        )
        named.append((kind, *wanted))

    def is_named(row):
        return any((u in (None, row[0])) and (i in (None, row[1])) and (t in (None, row[3])) for _, u, i, t in named)

    hidden = Forgotten(digester, scopes=digests_of([Scope(*wanted) for wanted in named], digester))
    return VisibleData((hidden,)), [row for row in rows if not is_named(row)]


def write(folder, rows, items):
    (folder / "some").mkdir(parents=True)
    lines = [("\t".join(map(str, row[:4])), row[4]) for row in rows]
    (folder / "some" / "some.inter").write_text("\n".join([HEAD, *(line for line, _ in lines)]) + "\n")
    for name in PARTS:
        part = [line for line, where in lines if where == name]
        (folder / "some" / f"some.{name}.inter").write_text("\n".join([HEAD, *part]) + "\n")
    (folder / "some" / "some.item").write_text("\n".join(items) + "\n")
    return folder


def read(folder, options, visible_data=None):
    """All that a training takes from the files; or why it is refused."""
    config = APAConfig("APA", "some", config_dict={**options, "data_path": str(folder)})
    init_seed(config["seed"], True)
    try:
        parts = make_dataset(config, visible_data).build()
    except DataError as error:
        return type(error).__name__
    tensors = [{f: p.inter_feat[f].tolist() for f in sorted(p.inter_feat.interaction)} for p in parts]
    return {
        "samples": [[s.digest() for s in p.samples] for p in parts],
        "tensors": tensors,
        "texts": parts[0].item_texts,
        "digest": parts[0].digest(b"secret").hex(),
        "old_digest": parts[0].old_digest,
        "cutoffs": parts[0].cutoffs,
        "train_rows": list(parts[0].train_rows),
    }


def compare(seed, options, folder):
    """Whether there was something to compare: a dataset that a training takes, before and after."""
    chance = random.Random(seed)
    rows, items, changes = drawn_by_chance(chance)
    visible_data, left = request_by_chance(chance, rows, "timestamp" in changes["load_col"]["inter"])
    given = {**options, **changes}
    whole, cleaned = write(folder / "whole", rows, items), write(folder / "cleaned", left, items)
    hidden, deleted = read(whole, given, visible_data), read(cleaned, given)
    assert hidden == deleted, (seed, given)
    assert read(cleaned, given, visible_data) == deleted, (seed, given)
    return isinstance(deleted, dict) and len(left) < len(rows)


@pytest.mark.parametrize("first", [0, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.soak])])
def test_hidden_and_deleted_rows_are_the_same_dataset(first, options, tmp_path):
    n = 30 if first == 0 else 1000
    compared = sum(compare(seed, options, tmp_path / str(seed)) for seed in range(first, first + n))
    assert compared > n / 3  # the others are refused, either way
