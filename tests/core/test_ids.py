"""Ids give back the tokens that they were made of, whatever these contain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.core.ids import id_word
from recbole_apa.data.samples import Interactions
from recbole_apa.partition import item_of, user_of

TOKENS = st.text(st.sampled_from(list("ab:#%235A")), min_size=1, max_size=8)


@given(st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=6), st.booleans())
def test_user_and_item_of_an_id_are_the_tokens(pairs, timed):
    users, items = ([pair[side] for pair in pairs] for side in (0, 1))
    times = np.array([5.0, 7.25, 5.0, 1e300, 0.0, 3.0])[: len(pairs)] if timed else None
    rows = Interactions(users, items, np.zeros(len(pairs), dtype=int), times)
    ids = rows.row_ids(np.arange(len(pairs)))
    assert list(map(user_of, ids)) == users and list(map(item_of, ids)) == items


@pytest.mark.parametrize(
    ("name", "user", "item"),
    [
        ("u1:i2:881250949", "u1", "i2"),
        ("u1:i2", "u1", "i2"),
        ("u1:i2#2", "u1", "i2"),
        ("u1:i2:881250949#3", "u1", "i2"),
        ("a%3Ab:c%23d%25:1", "a:b", "c#d%"),
        ("%253A:50%:1", "%3A", "50%"),
    ],
)
def test_known_ids(name, user, item):
    assert (user_of(name), item_of(name)) == (user, item)
    assert name.startswith(f"{id_word(user)}:{id_word(item)}")
