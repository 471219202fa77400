"""RecBole numbers users and items from a few rows as it would from all of them, and its other tables are the same."""

import random

import numpy as np
import pytest
import torch
from recbole.utils import init_seed

from recbole_apa import APAConfig
from recbole_apa.core.errors import DataError
from recbole_apa.data.dataset import APADataset
from recbole_apa.pipeline.datasets import make_dataset
from tests.helpers.chance_data import HEAD, PARTS, drawn_by_chance, more_options, write
from tests.helpers.field_files import OPTIONS


class AllRows(APADataset):
    """RecBole sees all interactions that the filters leave, as its own datasets do."""

    def _rows_to_number(self, loaded):
        return np.arange(len(loaded.rows))


def made_by(kind, options, folder):
    """The dataset before its parts are built, and the parts."""
    config = APAConfig("APA", "some", config_dict={**options, "data_path": str(folder)})
    init_seed(config["seed"], True)
    dataset = kind(config)
    n_rows = len(dataset.inter_feat)
    return n_rows, dataset.build()


def shown(parts):
    """All of RecBole's numbers that may be asked for later."""
    part = parts[0]
    ids = {field: part.field2id_token[field].tolist() for field in ("user_id", "item_id")}
    sides = {
        (name, field): values
        for name in ("user_feat", "item_feat")
        for field, values in getattr(getattr(part, name), "interaction", {}).items()
    }
    tables = {(i, field): p.labelled[field] for i, p in enumerate(parts) for field in p.labelled.interaction}
    return ids, list(part.item_texts), sides, tables


def same(one, other):
    for name, values in one.items():
        assert torch.equal(values, other[name]), name
    assert one.keys() == other.keys()


def compare(options, folder):
    """The rows that RecBole saw, few and all; None if the dataset is refused."""
    try:
        n_all, right = made_by(AllRows, options, folder)
    except DataError:
        return None
    n_few, found = made_by(APADataset, options, folder)
    (ids, texts, *tables), (right_ids, right_texts, *right_tables) = shown(found), shown(right)
    assert ids == right_ids and texts == right_texts
    for one, other in zip(tables, right_tables, strict=True):
        same(one, other)
    return n_few, n_all


@pytest.mark.slow
def test_numbers_are_those_of_all_rows(options, tmp_path):
    fewer = 0
    for seed in range(24):
        chance = random.Random(seed)
        rows, items, changes = drawn_by_chance(chance)
        if seed % 2:
            changes = more_options(chance, changes)
        write(tmp_path / str(seed), rows, items)
        users = [f"u{k}\t{chance.choice((18, 25, 38))}" for k in range(12) if chance.random() < 0.8]
        file = tmp_path / str(seed) / "some" / "some.user"
        file.write_text("\n".join(["user_id:token\tage:float", *users]) + "\n")
        n = compare({**options, **changes}, tmp_path / str(seed))
        fewer += n is not None and n[0] < n[1]
    assert fewer > 6


@pytest.mark.parametrize("kind", ["token", "token_seq"])
def test_names_in_other_columns_are_numbered_too(kind, options, tmp_path):
    chance = random.Random(1)
    rows, items, _ = drawn_by_chance(chance)
    write(tmp_path, rows, items)
    separator = " " if kind == "token_seq" else "-"  # one name with a dash, or several names
    lines = [f"{HEAD}\tfriend:{kind}"]
    for user, item, rating, time, _part in rows:
        lines.append(f"{user}\t{item}\t{rating}\t{time}\tf{chance.randrange(9)}{separator}u{chance.randrange(12)}")
    (tmp_path / "some" / "some.inter").write_text("\n".join(lines) + "\n")
    columns = {"inter": ["user_id", "item_id", "rating", "timestamp", "friend"], "item": ["item_id", "title", "year"]}
    given = {"load_col": columns, "item_text": "{title}", "alias_of_user_id": ["friend"], "threshold": {"rating": 4}}
    samples = {f"{part}_samples": None for part in PARTS}
    n_few, n_all = compare({**options, **given, **samples}, tmp_path)
    assert (n_few == n_all) == (kind == "token_seq")


def test_the_log_line_counts_all_rows(files):
    given = {**OPTIONS, "data_path": str(files.write().folder.parent)}
    dataset = make_dataset(APAConfig("APA", "small", config_dict=given))
    assert str(dataset) == "small: 32 interactions, 4 users, 8 items"
    parts = dataset.build()
    assert str(parts[0]) == f"small: {len(parts[0].samples)} samples, 4 users, 8 items"
