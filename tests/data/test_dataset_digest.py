"""The digest of a dataset: what it sees, and that a user is taken out without a look at the others."""

import hashlib

import numpy as np

from recbole_apa.data.dataset_digest import DatasetDigest, _term, dataset_digest
from recbole_apa.data.samples import Interactions, order_windows
from recbole_apa.data.visible_data import content_digest


def digest_of(table, secret=b"s", text=str):
    users, items, times, labels = zip(*table, strict=True)
    rows = Interactions(users, items, np.array(labels), np.array(times, dtype=float))
    return dataset_digest(rows, order_windows(rows.users, rows.times), text, secret)


def terms_of_items(*items):
    """What items add to a digest."""
    sums = sum((_term(b"item", b"s", item, item.encode()) for item in items), np.zeros(1024, dtype=np.uint16))
    return DatasetDigest(sums, b"s")


TABLE = [("a", "x", 1, 1), ("b", "x", 2, 0), ("a", "y", 3, 0), ("c", "y", 3, 1), ("c", "x", 4, 1)]


def test_a_user_is_taken_out_of_the_datasets_digest_without_a_look_at_the_others():
    """The items that only the user had go with the user."""
    whole, without_c, only_c = digest_of(TABLE), digest_of(TABLE[:3]), digest_of(TABLE[3:])
    # both parts name the items x and y, which count once
    assert whole.minus(only_c).plus(terms_of_items("x", "y")).hex() == without_c.hex()
    assert DatasetDigest.read(whole.text(), whole.secret).hex() == whole.hex()


def test_the_datasets_digest_sees_every_change_that_a_run_would_see():
    base = digest_of(TABLE).hex()
    changed = [
        [("a", "x", 1, 0), *TABLE[1:]],
        [("a", "x", 1.5, 1), *TABLE[1:]],
        [("d", "x", 1, 1), *TABLE[1:]],
        [("a", "y", 1, 1), *TABLE[1:]],
        [*TABLE, TABLE[-1]],
        TABLE[1:],
        [("ab", "x", 1, 1), *TABLE[1:]],
    ]
    seen = {digest_of(table).hex() for table in changed} | {digest_of(TABLE, text=str.upper).hex()}
    assert len(seen | {base}) == len(changed) + 2
    assert digest_of(TABLE, secret=b"t").hex() not in seen | {base}
    assert digest_of([TABLE[3], *TABLE[:3], TABLE[4]]).hex() == base  # users in another order are the same users


def test_the_old_digest_is_what_it_was():
    """Of commit 86d8546, by its own formula."""
    rows = Interactions(["a"], ["x"], np.array([1]), np.array([7.0]))
    told = ["a:x:7", "1", "items", "Film"]
    digest = hashlib.sha256(b"".join(len(t).to_bytes(8, "big") + t.encode() for t in told)).hexdigest()
    assert content_digest(rows, order_windows(rows.users, rows.times), ["Film"]) == digest
