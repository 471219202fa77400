"""What a state's rows have become in the next one, found without a copy of them."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from recbole_apa.core.errors import RunError
from recbole_apa.runs.keep_index import difference
from tests.helpers.index_rows import rows_of


def rows_at(places):
    return rows_of(["u"] * len(places), ["i"] * len(places), places=places)


@pytest.mark.parametrize("seed", range(5))
def test_rows_that_went_and_rows_that_changed_are_told(seed):
    rng = np.random.default_rng(seed)
    before = rows_at(np.sort(rng.choice(90, 40, replace=False)))
    stays = np.sort(rng.choice(40, (0, 1, 20, 39, 40)[seed], replace=False))
    after = before.take(stays)
    roles, flags = rng.permutation(after.roles), after.flags.copy()
    flags[: len(flags) // 3] += 4
    change = difference(before, replace(after, roles=roles, flags=flags))
    gone = [] if change.removed is None else change.removed.places.tolist()
    assert gone == sorted(set(before.places.tolist()) - set(after.places.tolist()))
    other = (roles != after.roles) | (flags != after.flags)
    changed = ([], []) if change.changed is None else (change.changed.places.tolist(), change.changed.roles.tolist())
    assert changed == (after.places[other].tolist(), roles[other].tolist())


@pytest.mark.parametrize("stranger", [0, 5, 90])
def test_a_row_that_was_not_there_is_refused(stranger):
    before = rows_at(np.array([1, 4, 9]))
    with pytest.raises(RunError, match="rows that the run did not have before"):
        difference(before, rows_at(np.sort([4, stranger])))


def test_no_column_is_copied():
    n = 100_000
    before = rows_at(np.arange(n))
    after = before.take(np.arange(1, n))
    tracemalloc.start()
    try:
        difference(before, after)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * n  # 39 if rows that stay are copied, and looked up by a table of places
