"""Training rows and small datasets made up for collaborative statistics, and what is compared of their sums."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from recbole_apa.collaborative import Contents, ItemContent, Pasts
from recbole_apa.collaborative.item_states import ItemStates
from recbole_apa.collaborative.rows import TrainingRows
from recbole_apa.core.settings import SampleSettings
from recbole_apa.data.data_options import DataOptions, FileOptions, LabelRule
from recbole_apa.data.filters import FilterSettings
from recbole_apa.data.read_data import read_data
from recbole_apa.data.recbole_split import SplitSettings
from recbole_apa.data.run_data import RunData
from recbole_apa.data.visible_data import VisibleData

N_ITEMS = 6
"""Of made-up training rows."""
N_FILMS = 8
"""Of made-up datasets."""
OPTIONS = DataOptions(
    FileOptions("user_id", "item_id", "timestamp", ("user_id", "item_id"), ("rating", "timestamp")),
    LabelRule("rating", 4),
    FilterSettings("user_id", "item_id", "timestamp"),
    SplitSettings("TO", "RS", [0.6, 0.2, 0.2], True, 2020),
    SampleSettings("recbole", 3, 1, 6, 4, 4, "{title}"),
)
TALLREC = replace(OPTIONS, split=None, samples=replace(OPTIONS.samples, protocol="tallrec", min_history=10))


def many(n=60, m=12, seed=1):
    """Pasts of n targets, rows and public words of m items, all made up."""
    rng = np.random.default_rng(seed)
    rows = TrainingRows(np.sort(rng.integers(0, 30, 300)), rng.integers(0, m, 300), rng.integers(0, 2, 300))
    lengths = rng.integers(0, 40, n)
    r = int(lengths.sum())
    pasts = Pasts(rng.integers(0, m, n), lengths, rng.integers(0, m, r), rng.integers(0, 2, r).astype(np.float64))
    words = [["Drama", "War", "Comedy"][: rng.integers(0, 4)] for _ in range(m)]
    contents = Contents(ItemContent.of(words, [float("nan"), *rng.integers(1950, 2000, m - 1).tolist()]))
    return rows, pasts, contents


@st.composite
def training_rows_by_chance(draw, unit=None):
    """Rows of a few users and items, repeats included, in any order; every user from 0 has a row."""
    unit = unit or draw(st.sampled_from([1, 1024]))
    values = st.integers(0, 1) if unit == 1 else st.integers(-5 * unit, 5 * unit)
    n_users = draw(st.integers(1, 6))
    users = [*range(n_users), *draw(st.lists(st.integers(0, n_users - 1), max_size=25))]
    users = draw(st.permutations(users))
    items = draw(st.lists(st.integers(0, N_ITEMS - 1), min_size=len(users), max_size=len(users)))
    told = draw(st.lists(values, min_size=len(users), max_size=len(users)))
    return TrainingRows(np.array(users), np.array(items), np.array(told, dtype=np.int64), unit)


def some_rows(rows, which):
    """Rows by mask or number, users numbered from 0."""
    users = np.unique(rows.users[which], return_inverse=True)[1].reshape(-1)
    return TrainingRows(users, rows.items[which], rows.values[which], rows.unit)


def told(sums):
    """The sums as lists."""
    return [column.tolist() for column in sums._columns()]


def ratings_of(seed=0, n_users=6, n_each=14):
    rng = np.random.default_rng(seed)
    return [(f"u{u}", f"i{rng.integers(N_FILMS)}", int(rng.integers(1, 6)), 100 * u + s)
            for u in range(n_users) for s in range(n_each)]  # fmt: skip


def data_of(folder: Path, ratings, options=OPTIONS) -> RunData:
    folder.mkdir(exist_ok=True)
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    lines = [head, *("\t".join(map(str, row)) for row in ratings)]
    (folder / "small.inter").write_text("\n".join(lines) + "\n")
    titles = "\n".join(f"i{i}\tFilm {i}" for i in range(N_FILMS))
    (folder / "small.item").write_text(f"item_id:token\ttitle:token\n{titles}\n")
    loaded = read_data(options.files, options.filters, options.label, folder / "small", VisibleData())
    return RunData.of_files(loaded, options, VisibleData())


def states_of(items, d=5):
    """Made-up states of some items; an item has the same state whichever others there are."""
    codes = np.array(sorted(items), dtype=np.int64)
    rows = [np.random.default_rng(code).normal(size=d) + 3.0 for code in codes.tolist()]
    return ItemStates(codes, np.array(rows, dtype=np.float32).reshape(len(codes), d))
