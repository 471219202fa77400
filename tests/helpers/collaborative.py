"""Training rows made up for collaborative statistics, and what is compared of their sums."""

import numpy as np
from hypothesis import strategies as st

from recbole_apa.collaborative.rows import TrainingRows

N_ITEMS = 6


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
