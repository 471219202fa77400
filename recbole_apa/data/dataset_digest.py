"""The digest of what a run sees of a dataset: the sum of keyed digests, one per user and one per item.

A user can be removed from a sum, or added to it, without reading the others (LtHash of Bellare and Micciancio, 1,024
sums of 16 bits, over keyed BLAKE2b). The order of users and items does not matter. Items without interactions do not
count: their lines in the ``.item`` file may be removed.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.data.samples import Interactions, Windows

_LANES = 1024
_ROW = np.dtype([("item", "u1", 32), ("time", "<f8"), ("label", "<i8")])


@dataclass(frozen=True)
class DatasetDigest:
    """The sums, and the secret they were computed with."""

    sums: np.ndarray
    """(1024,), uint16."""
    secret: bytes

    def hex(self) -> str:
        """The digest as 64 hex digits."""
        return hashlib.blake2b(self.sums.tobytes(), digest_size=32, key=self.secret).hexdigest()

    def plus(self, other: "DatasetDigest") -> "DatasetDigest":
        """The digest of the users and items of both."""
        return DatasetDigest(self.sums + other.sums, self.secret)

    def minus(self, other: "DatasetDigest") -> "DatasetDigest":
        """The digest of what remains without the other's users and items."""
        return DatasetDigest(self.sums - other.sums, self.secret)

    def text(self) -> str:
        """The sums in base64, for storage."""
        return base64.b64encode(self.sums.astype("<u2").tobytes()).decode()

    @classmethod
    def read(cls, text: str, secret: bytes) -> "DatasetDigest":
        """Parse what :meth:`text` returned."""
        return cls(np.frombuffer(base64.b64decode(text), dtype="<u2").astype(np.uint16), secret)


def dataset_digest(rows: Interactions, windows: Windows, text_of: Callable[[str], str], secret: bytes) -> DatasetDigest:
    """The digest of all visible rows, and of the texts of their items.

    Args:
        text_of: an item's text in prompts.
        secret: 1 to 64 bytes.
    """
    items = [rows.items.names[code] for code in np.unique(rows.items.codes).tolist()]
    return users_digest(rows, windows, secret).plus(items_digest(items, text_of, secret))


def no_digest(secret: bytes) -> DatasetDigest:
    """Of no users and no items."""
    return DatasetDigest(np.zeros(_LANES, dtype=np.uint16), secret)


def users_digest(rows: Interactions, windows: Windows, secret: bytes, named: np.ndarray | None = None) -> DatasetDigest:
    """The part of a digest that comes from users, each with all its rows.

    Args:
        named: :func:`named_items` of ``rows.items.names``, if it is known.
    """
    return _digest_of(b"user", rows, windows.order, rows.labels, secret, named)


def counted_digest(
    rows: Interactions, order: np.ndarray, values: np.ndarray, secret: bytes, named: np.ndarray | None = None
) -> DatasetDigest:
    """A digest of some of the rows of users, to which the others do not matter.

    Args:
        order: the numbers of these rows, user by user, oldest first, (m,).
        values: what is counted of each of ``rows``, int64, (n,).
        named: as in :func:`users_digest`.
    """
    return _digest_of(b"counted", rows, order, values, secret, named)


def _digest_of(
    purpose: bytes, rows: Interactions, order: np.ndarray, values: np.ndarray, secret: bytes, named: np.ndarray | None
) -> DatasetDigest:
    sums = np.zeros(_LANES, dtype=np.uint16)
    items = named_items(rows.items.names, secret) if named is None else named
    for name, told in _users(rows, order, values, items):
        sums += _term(purpose, secret, name, told)
    return DatasetDigest(sums, secret)


def items_digest(items: Iterable[str], text_of: Callable[[str], str], secret: bytes) -> DatasetDigest:
    """The part of a digest that comes from items with a visible row, each named once."""
    sums = np.zeros(_LANES, dtype=np.uint16)
    for item in items:
        sums += _term(b"item", secret, item, text_of(item).encode(errors="surrogatepass"))
    return DatasetDigest(sums, secret)


def named_items(names: Sequence[str], secret: bytes) -> np.ndarray:
    """The digest of each item's name, (m, 32), uint8."""
    digests = [_named(b"name", secret, name) for name in names]
    return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, 32)


def _users(rows: Interactions, order: np.ndarray, values: np.ndarray, items: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """Each user with the bytes of that user's rows in ``order``."""
    if not len(order):
        return
    codes = rows.users.codes[order]
    starts = np.concatenate(([0], np.flatnonzero(codes[1:] != codes[:-1]) + 1, [len(codes)]))
    for begin, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        which = order[begin:end]
        table = np.zeros(len(which), dtype=_ROW)
        table["item"], table["label"] = items[rows.items.codes[which]], values[which]
        # a missing time differs from time 0; -0 and 0 are the same time
        table["time"] = np.nan if rows.times is None else rows.times[which] + 0.0
        yield rows.users.names[codes[begin]], table.tobytes()


def _named(purpose: bytes, secret: bytes, name: str, told: bytes = b"") -> bytes:
    text = name.encode(errors="surrogatepass")
    return hashlib.blake2b(
        len(text).to_bytes(8, "big") + text + told, digest_size=32, key=secret, person=b"apa " + purpose
    ).digest()


def _term(purpose: bytes, secret: bytes, name: str, told: bytes) -> np.ndarray:
    seed = _named(purpose, secret, name, told)
    return np.frombuffer(hashlib.shake_128(seed).digest(2 * _LANES), dtype="<u2").astype(np.uint16)
