"""Filters and split by columns, held equal to RecBole's own on small datasets drawn at random."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from recbole_apa import APAConfig
from recbole_apa.core.errors import DataError, SettingsError
from recbole_apa.data.filters import FilterSettings, Tables, filter_tables, first_rows, parse_intervals
from recbole_apa.data.load import load_dataset
from recbole_apa.data.reader import read_table
from recbole_apa.data.recbole_split import read_split, split_rows
from recbole_apa.data.tokens import Tokens
from recbole_apa.data.visible_data import VisibleData

COUNTS = [*[None] * 6, "[2,inf)", "[3,inf)", "(1,4)", "[1,5]", "[2,3];[5,inf)", "[0,inf)", "(0,3]", "[5,9];[1,2]"]
VALUES = {
    "rating": ["[2,inf)", "(1,4)", "[1,2];(3,5]", "[3,3]", "(-inf,4.5]"],
    "context": [["a"], ["a", "b"], ["z"]],
    "timestamp": ["[5,40)"],
    "user_id": [["u0", "u1", "u2", "u3", "u9"]],
    "item_id": [["i0", "i1", "i2", "i5"]],
    "year": ["[1982,inf)", "(1980,1986];[1990,1990]"],
    "kind": [["x"], ["x", "y"]],
    "age": ["[20,40)", "[0,25];[35,99]"],
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """RecBole's configuration, whose options each case sets."""
    columns = {
        "inter": ["user_id", "item_id", "rating", "timestamp", "context"],
        "item": ["item_id", "year", "kind"],
        "user": ["user_id", "age"],
    }
    folder = tmp_path_factory.mktemp("filters")
    return APAConfig("BPR", "d", config_dict={"data_path": str(folder), "load_col": columns})


def untouched():
    """RecBole's dataset as RecBole has it."""
    from recbole.data.dataset import Dataset

    class Untouched(Dataset):
        _load_feat = getattr(Dataset, "recbole_load_feat", Dataset._load_feat)

    return Untouched


class Filtered:
    """What RecBole has left after reading and filtering."""

    def __init__(self, config):
        class UpToFilters(untouched()):
            def _data_processing(self):
                self.feat_name_list = self._build_feat_name_list()
                self._data_filtering()

        self.dataset = UpToFilters(config)

    def rows(self):
        frame = self.dataset.inter_feat
        return list(zip(*(frame[c].tolist() for c in ("user_id", "item_id", "timestamp", "rating")), strict=True))

    def told(self):
        sides = [(self.dataset.user_feat, "user_id"), (self.dataset.item_feat, "item_id")]
        return [None if frame is None else frame[column].tolist() for frame, column in sides]


def our_tables(config):
    from recbole.data.dataset import Dataset

    dataset = Dataset.__new__(Dataset)
    dataset.config, dataset.logger = config, SimpleNamespace(debug=lambda *_: None)
    dataset._get_preset()
    dataset._get_field_from_config()
    return load_dataset(dataset, "d", Path(config["data_path"]), VisibleData())


def write_dataset(folder, rng):
    """Interactions with distinct times, and files of users and items that know only some of them."""
    n, n_users, n_items = int(rng.integers(1, 100)), int(rng.integers(2, 9)), int(rng.integers(2, 10))
    times = rng.permutation(n)
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float\tcontext:token"]
    for time in times:
        user, item, rating = rng.integers(n_users), rng.integers(n_items), rng.choice(["1", "2", "3", "3.5", "4", "5"])
        lines.append(f"u{user}\ti{item}\t{rating}\t{time}\t{rng.choice(['a', 'b', 'c', ''])}")
    files = {"inter": lines}
    if rng.random() < 0.7:
        known = rng.choice(14, size=int(rng.integers(1, 13)))  # some twice, some not rated, some rated missing
        year = rng.choice(["1980", "1982", "1986", "1990", ""], size=len(known))
        kind = rng.choice(["x", "y", ""], size=len(known))
        told = [f"i{i}\t{y}\t{k}" for i, y, k in zip(known, year, kind, strict=True)]
        files["item"] = ["item_id:token\tyear:float\tkind:token", *told]
    if rng.random() < 0.5:
        known = rng.choice(11, size=int(rng.integers(1, 12)))
        files["user"] = ["user_id:token\tage:float", *(f"u{u}\t{rng.choice(['', '18', '25', '38'])}" for u in known)]
    for kind in ("inter", "item", "user"):
        file = folder / f"d.{kind}"
        file.unlink(missing_ok=True)
        if kind in files:
            file.write_text("\n".join(files[kind]) + "\n")
    return set(files)


def draw_options(rng, files):
    columns = [c for c in VALUES if (c not in ("year", "kind") or "item" in files) and (c != "age" or "user" in files)]
    chosen = rng.choice(columns, size=int(rng.choice([0, 0, 1, 1, 2])), replace=False)
    return {
        "rm_dup_inter": [None, None, "first", "last"][rng.integers(4)],
        "val_interval": {c: VALUES[c][rng.integers(len(VALUES[c]))] for c in chosen.tolist()} or None,
        "filter_inter_by_user_or_item": bool(rng.random() < 0.7),
        "user_inter_num_interval": COUNTS[rng.integers(len(COUNTS))],
        "item_inter_num_interval": COUNTS[rng.integers(len(COUNTS))],
    }


def set_options(config, options):
    for name, value in options.items():
        config[name] = value


@pytest.mark.quick(1)
@pytest.mark.parametrize("start", range(0, 120, 20))
def test_filters_are_recboles(config, start):
    left = 0
    folder = Path(config["data_path"])
    folder.mkdir(exist_ok=True)
    for seed in range(start, start + 20):
        rng = np.random.default_rng(seed)
        files = write_dataset(folder, rng)
        options = draw_options(rng, files)
        set_options(config, options | {"threshold": None})
        try:
            right = Filtered(config)
        except ValueError as error:
            right = error
        set_options(config, {"threshold": {"rating": 3}})
        try:
            found = our_tables(config)
        except DataError as error:
            assert isinstance(right, ValueError) and "feat is empty" in str(right), (seed, options, error)
            assert "empty after filtering" in str(error)
            continue
        assert isinstance(right, Filtered), (seed, options, right)
        left += 1
        tables, inter = found.tables, found.tables.inter
        columns = (inter.texts("user_id"), inter.texts("item_id"), inter.numbers("timestamp").tolist())
        assert list(zip(*columns, inter.numbers("rating").tolist(), strict=True)) == right.rows(), (seed, options)
        told = [t if t is None else list(t.texts(c)) for t, c in ((tables.users, "user_id"), (tables.items, "item_id"))]
        assert told == right.told(), (seed, options)
        assert found.rows.labels.tolist() == [int(rating >= 3) for *_, rating in right.rows()]
    assert left >= 5


# --- the split --------------------------------------------------------------------------------------------------------

SPLITS = [
    *(
        {"RS": ratios}
        for ratios in ([0.8, 0.1, 0.1], [8, 1, 1], [0.5, 0.3, 0.2], [0.8, 0.2, 0], [0.6, 0, 0.4], [1, 1, 1])
    ),
    *({"LS": mode} for mode in ("valid_and_test", "valid_only", "test_only")),
    *({"TS": ratios} for ratios in ([0.8, 0.1, 0.1], [0.4, 0.3, 0.3], [0.7, 0.3, 0])),
]


@pytest.fixture
def plain_folder(config):
    """A folder without filters, where a split is tried."""
    folder = Path(config["data_path"])
    folder.mkdir(exist_ok=True)
    for kind in ("item", "user"):
        (folder / f"d.{kind}").unlink(missing_ok=True)
    options = dict.fromkeys(("rm_dup_inter", "val_interval", "user_inter_num_interval", "item_inter_num_interval"))
    set_options(config, {**options, "threshold": None})
    return folder


@pytest.mark.quick(1)
@pytest.mark.parametrize("order", ["TO", "RO"])
@pytest.mark.parametrize("group", ["user", "none", None])
def test_split_is_recboles(config, plain_folder, order, group):
    for seed in range(4):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(3, 80))
        users, times = [f"u{u}" for u in rng.integers(6, size=n)], rng.permutation(n).astype(float)
        head = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        # the rating tells the row
        rows = [
            f"{u}\ti{rng.integers(5)}\t{row}\t{time}\n" for row, (u, time) in enumerate(zip(users, times, strict=True))
        ]
        (plain_folder / "d.inter").write_text(head + "".join(rows))
        for split in SPLITS:
            args = {"order": order, "split": split, "group_by": group, "mode": "labeled"}
            set_options(config, {"eval_args": args})
            whole = untouched()(config)
            torch.manual_seed(seed)  # RecBole's is the whole process's
            right = [part.inter_feat["rating"].long().tolist() for part in whole.build()]
            found = split_rows(Tokens.of(users), times, read_split(args, seed))
            assert [part.tolist() for part in found] == right, (seed, args)


def test_equal_times_and_no_times_take_the_order_of_rows():
    users = Tokens.of(["a", "b", "a", "a", "b", "a"])
    settings = read_split({"order": "TO", "split": {"LS": "valid_and_test"}, "group_by": "user"}, 0)
    for times in (None, np.zeros(6)):
        assert [part.tolist() for part in split_rows(users, times, settings)] == [[0, 2, 1], [3], [5, 4]]
    ratio = read_split({"order": "TO", "split": {"RS": [4, 1, 1]}, "group_by": "none"}, 0)
    assert [part.tolist() for part in split_rows(users, None, ratio)] == [[0, 1, 2, 3], [4], [5]]
    late_first = split_rows(users, np.array([5.0, 4, 3, 2, 1, 0]), ratio)
    assert [part.tolist() for part in late_first] == [[5, 4, 3, 2], [1], [0]]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"order": "XX", "split": {"RS": [8, 1, 1]}}, "eval_args.order: found 'XX'"),
        ({"order": "TO", "split": {"XS": [8, 1, 1]}}, "eval_args.split: found {'XS'"),
        ({"order": "TO", "split": None}, "eval_args.split: found None"),
        ({"order": "TO", "split": {"LS": "both"}}, "eval_args.split: found {'LS': 'both'}"),
        ({"order": "TO", "split": {"RS": [0.8, 0.2]}}, "eval_args.split: found {'RS': [0.8, 0.2]}"),
        ({"order": "TO", "split": {"RS": [0, 0, 0]}}, "eval_args.split"),
        ({"order": "TO", "split": {"RS": [0.8, 0.3, -0.1]}}, "eval_args.split"),
        ({"order": "TO", "split": {"RS": "8"}}, "eval_args.split"),
        ({"order": "TO", "split": {"RS": [8, 1, 1]}, "group_by": "item"}, "eval_args.group_by: found 'item'"),
    ],
)
def test_a_split_that_recbole_does_not_know_is_refused(args, says):
    with pytest.raises(SettingsError) as caught:
        read_split(args, 0)
    assert says in str(caught.value)


# --- alone ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "3", "[3", "[3,4", "3,4]", "[3,4,5]", "[a,4]", "[4,3]", "{3,4}", "[3,4];", "[nan,4]", "[1,2];(5,4)", 3]
)
def test_intervals_that_recbole_warns_of_or_stumbles_over_are_refused(text):
    with pytest.raises(SettingsError, match=r"user_inter_num_interval: found .* expected intervals such as"):
        parse_intervals("user_inter_num_interval", text)


def test_intervals_hold_their_ends_as_the_brackets_say():
    values = np.array([1.0, 2, 3, np.nan, np.inf])
    for text, right in {
        "[1,3]": [1, 1, 1, 0, 0],
        "(1,3)": [0, 1, 0, 0, 0],
        "[1,3)": [1, 1, 0, 0, 0],
        "(1, 3]": [0, 1, 1, 0, 0],
        " [-inf,inf] ": [1, 1, 1, 0, 1],
        "[2,2]": [0, 1, 0, 0, 0],
    }.items():
        (interval,) = parse_intervals("val_interval", text)
        assert interval.holds(values).tolist() == [bool(v) for v in right], text


def tables_of(tmp_path, inter, item=None):
    (tmp_path / "d.inter").write_text("user_id:token\titem_id:token\trating:float\n" + inter)
    if item:
        (tmp_path / "d.item").write_text("item_id:token\tyear:float\n" + item)
    return Tables(read_table(tmp_path / "d.inter"), None, read_table(tmp_path / "d.item") if item else None)


def test_options_that_cannot_be_carried_out_are_refused_by_name(tmp_path):
    tables = tables_of(tmp_path, "u\ti\t5\n")
    for change, says in {
        "rm_dup_inter: found 'middle'": {"keep_duplicate": "middle"},
        "val_interval: the dataset has no column 'price'": {"values": {"price": "[0,1]"}},
        "expected a list of tokens": {"values": {"user_id": "[0,1]"}},
        "item_inter_num_interval: found '5'": {"item_counts": 5},
    }.items():
        with pytest.raises(SettingsError) as caught:
            filter_tables(tables, FilterSettings("user_id", "item_id", "timestamp", **says))
        assert change in str(caught.value)


def test_what_leaves_for_want_of_a_line_in_the_item_file_is_counted(tmp_path, caplog):
    tables = tables_of(tmp_path, "u\ti\t5\nu\tj\t5\nv\tj\t4\nv\tk\t4\n", "i\t1980\n")
    left = filter_tables(tables, FilterSettings("user_id", "item_id", "timestamp"))
    assert list(left.inter.texts("item_id")) == ["i"]
    assert "3 interactions of 2 items are dropped (line 3, 4, 5)" in caplog.text
    kept = filter_tables(tables, FilterSettings("user_id", "item_id", "timestamp", known_only=False))
    assert len(kept.inter) == 4


def test_the_first_line_of_an_item_counts(tmp_path):
    tables = tables_of(tmp_path, "u\ti\t5\n", "i\t1980\nj\t1981\ni\t1990\n")
    once = first_rows(tables.items, "item_id")
    assert list(once.texts("item_id")) == ["i", "j"] and once.numbers("year").tolist() == [1980, 1981]
    assert [once.line(row) for row in range(2)] == [2, 3]
