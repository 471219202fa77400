"""Rows of parts in order of place, without room for a second copy of them."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from recbole_apa.data.index.order import by_place, join_by_place, join_parts
from recbole_apa.data.tokens import Tokens
from tests.helpers.index_rows import rows_of, told


def parts_of(places, times=True):
    """The rows at these places, in four parts; the users of each are its own, the items' codes are common."""
    n, rng = len(places), np.random.default_rng(1)
    items = Tokens(rng.integers(3, size=n).astype(np.int32), ["a", "b", "c"])
    whole = rows_of(["u"] * n, ["a"] * n, rng.random(n) if times else None, places=places)
    of_part, parts = rng.integers(4, size=n), []
    for part in range(4):
        which = np.flatnonzero(of_part == part)
        users = Tokens((np.arange(len(which)) % 3).astype(np.int32), [f"{part} {user}" for user in range(3)])
        parts.append(replace(whole.take(which), users=users, items=items.take(which)))
    return parts


@pytest.mark.parametrize("times", [True, False])
@pytest.mark.parametrize(
    "places",
    [
        np.random.default_rng(0).permutation(50),
        np.random.default_rng(0).permutation(90)[:50],  # rows were forgotten
        np.random.default_rng(0).permutation(50) * 10**16,
        np.arange(50) // 2,  # damaged
        np.arange(50) - 3,  # damaged
        np.zeros(0, dtype=np.int64),
    ],
)
def test_parts_joined_by_place_are_those_joined_and_sorted(places, times):
    parts = parts_of(places, times)
    found, right = join_by_place(parts), by_place(join_parts(parts))
    assert told(found) == told(right)
    assert found.places.tolist() == right.places.tolist() == sorted(places.tolist())
    assert found.users.names == right.users.names and found.users.codes.tolist() == right.users.codes.tolist()
    assert found.items.names is parts[0].items.names


def test_joining_by_place_takes_little_more_than_the_rows():
    n = 200_000
    parts = parts_of(np.random.default_rng(0).permutation(n))
    tracemalloc.start()
    try:
        join_by_place(parts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50 * n  # the rows are 38; 84 if they are joined, then sorted
