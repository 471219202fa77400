"""Sums over users who have rows of two items, for the pairs that are asked for; users can be subtracted from them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recbole_apa.collaborative.item_sums import ItemSums
from recbole_apa.collaborative.rows import CENTRED_UNIT, TrainingRows

MOST_CELLS = 1 << 23
"""Cells of a table of pairs of items: how many pairs are looked up in at a time."""
_MOST_JOINED = 1 << 18
"""Pairs of rows that are looked at at a time."""


@dataclass(frozen=True)
class Pairs:
    """p pairs of items, each once, ordered by the first item, then the second."""

    firsts: np.ndarray
    """Item codes, int64, (p,)."""
    seconds: np.ndarray
    """Item codes, int64, (p,)."""

    @classmethod
    def of(cls, firsts: np.ndarray, seconds: np.ndarray) -> tuple["Pairs", np.ndarray]:
        """The distinct pairs among many, and the number of each one's pair.

        Args:
            firsts: item codes, (r,).
            seconds: item codes, (r,).
        """
        size = int(seconds.max(initial=0)) + 1
        distinct, which = np.unique(firsts.astype(np.int64) * size + seconds, return_inverse=True)
        return cls(distinct // size, distinct % size), which.reshape(-1)

    def __len__(self) -> int:
        return len(self.firsts)

    def places(self, wanted: "Pairs") -> np.ndarray:
        """The number of each wanted pair, (p,).

        Raises:
            KeyError: one is missing.
        """
        size = int(max(self.seconds.max(initial=0), wanted.seconds.max(initial=0))) + 1
        known, asked = self.firsts * size + self.seconds, wanted.firsts * size + wanted.seconds
        places = np.minimum(np.searchsorted(known, asked), max(len(known) - 1, 0))
        if len(asked) and (not len(known) or (known[places] != asked).any()):
            raise KeyError("found a pair of items without sums; expected sums for all pairs of these targets")
        return places


@dataclass(frozen=True)
class PairSums:
    """Sums over all users who have training rows of both items of a pair, int64, (p,) each; see
    :class:`~recbole_apa.collaborative.item_sums.ItemSums` for why they can be subtracted."""

    pairs: Pairs
    n: np.ndarray
    """Users; a user with repeated rows of an item counts once for each pair of rows."""
    products: np.ndarray
    """Products of the two centred values, in 1/1024^2."""
    firsts: np.ndarray
    """Centred values of the first item, in 1/1024."""
    seconds: np.ndarray
    """Centred values of the second item."""

    @classmethod
    def none(cls, pairs: Pairs) -> "PairSums":
        """Of no users."""
        return cls(pairs, *(np.zeros(len(pairs), dtype=np.int64) for _ in range(4)))

    @classmethod
    def of(cls, rows: TrainingRows, pairs: Pairs, most_cells: int = MOST_CELLS) -> "PairSums":
        """The sums of whole users' rows.

        Args:
            most_cells: cells of the table of pairs; it changes RAM and time alone.
        """
        out = cls.none(pairs)
        if not len(rows) or not len(pairs):
            return out
        centred, n_codes = rows.centred(), int(max(pairs.firsts[-1], pairs.seconds.max(), rows.items.max())) + 1
        others = np.unique(pairs.seconds)
        right = _ByUser.of(rows, centred, _numbers(others, n_codes))
        for some, items in _blocks(pairs, max(1, most_cells // len(others))):
            left = _ByUser.of(rows, centred, _numbers(items, n_codes))
            table = np.full((len(items), len(others)), -1, dtype=np.int64)
            at = np.searchsorted(items, pairs.firsts[some]), np.searchsorted(others, pairs.seconds[some])
            table[at] = np.arange(some.start, some.stop)
            for a, b in _joined(left, right):
                places = table[left.numbers[a], right.numbers[b]]
                wanted = np.flatnonzero(places >= 0)
                places, a, b = places[wanted], a[wanted], b[wanted]
                n, x, m, y = left.n[a], left.sums[a], right.n[b], right.sums[b]
                # of all pairs of a row of the one and a row of the other
                for sums, values in ((out.n, n * m), (out.products, x * y), (out.firsts, x * m), (out.seconds, n * y)):
                    np.add.at(sums, places, values)
        return out

    def plus(self, other: "PairSums") -> "PairSums":
        """The sums of the users of both, for the same pairs."""
        columns = zip(self._columns(), other._columns(), strict=True)
        return PairSums(self.pairs, *(a + b for a, b in columns))

    def minus(self, other: "PairSums") -> "PairSums":
        """The sums without the other's users, who were added with the same rows."""
        columns = zip(self._columns(), other._columns(), strict=True)
        return PairSums(self.pairs, *(a - b for a, b in columns))

    def only(self, pairs: Pairs) -> "PairSums":
        """The sums of some of the pairs.

        Raises:
            KeyError: a pair without sums.
        """
        places = self.pairs.places(pairs)
        n, products, firsts, seconds = (column[places] for column in self._columns())
        return PairSums(pairs, n, products, firsts, seconds)

    def similarities(self, items: ItemSums, shrinkage: float) -> np.ndarray:
        """Cosine of the two items' vectors of residuals over users, times n / (n + shrinkage), (p,), float64.

        A residual is a label without its user's mean and its item's; missing ones are 0.
        """
        levels, norms = items.levels(), items.norms()
        a, b = levels[self.pairs.firsts], levels[self.pairs.seconds]
        dots = self.products / CENTRED_UNIT**2 - (b * self.firsts + a * self.seconds) / CENTRED_UNIT + self.n * a * b
        lengths = norms[self.pairs.firsts] * norms[self.pairs.seconds]
        cosines = np.divide(dots, lengths, out=np.zeros(len(dots)), where=lengths > 0)
        return cosines * (self.n / (self.n + shrinkage))

    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.n, self.products, self.firsts, self.seconds


@dataclass(frozen=True)
class _ByUser:
    """What users have of some items, users one after another, each item of a user once; k entries."""

    n: np.ndarray
    """How many rows, (k,)."""
    sums: np.ndarray
    """Their centred values together, int64, (k,)."""
    numbers: np.ndarray
    """The number of each one's item among the items, (k,)."""
    users: np.ndarray
    """Its user, (k,)."""
    ends: np.ndarray
    """How many of the k entries belong to users up to each one."""

    @classmethod
    def of(cls, rows: TrainingRows, centred: np.ndarray, number_of: np.ndarray) -> "_ByUser":
        """
        Args:
            centred: of the rows, (n,).
            number_of: the number of each item, by code; -1 for other items.
        """
        numbers = number_of[rows.items]
        which = np.flatnonzero(numbers >= 0)
        size = int(numbers.max(initial=0)) + 1
        entries = rows.users[which] * size + numbers[which]
        order = np.argsort(entries, kind="stable")
        distinct, starts = np.unique(entries[order], return_index=True)
        sums = np.add.reduceat(centred[which[order]], starts) if len(starts) else np.zeros(0, dtype=np.int64)
        n, users = np.diff(starts, append=len(which)), distinct // size
        counts = np.bincount(users, minlength=int(rows.users.max()) + 1)
        return cls(n, sums, distinct % size, users, np.cumsum(counts))


def _numbers(items: np.ndarray, n_codes: int) -> np.ndarray:
    """The number of each item among ``items``, by code, -1 for others, (n_codes,)."""
    out = np.full(n_codes, -1, dtype=np.int64)
    out[items] = np.arange(len(items))
    return out


def _joined(left: _ByUser, right: _ByUser) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of a left and a right entry of one user, some at a time, as positions among both."""
    ends = right.ends[left.users]
    lengths = np.diff(right.ends, prepend=0)[left.users]
    upto = np.cumsum(lengths)
    blocks = (upto - 1) // _MOST_JOINED
    for a in np.split(np.arange(len(left.n)), np.flatnonzero(np.diff(blocks)) + 1):
        n = lengths[a]
        within = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
        yield np.repeat(a, n), np.repeat(ends[a] - n, n) + within


def _blocks(pairs: Pairs, size: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The pairs of some first items at a time, with those items."""
    items, starts = np.unique(pairs.firsts, return_index=True)
    ends = np.append(starts[1:], len(pairs))
    for begin in range(0, len(items), size):
        end = min(begin + size, len(items))
        yield slice(int(starts[begin]), int(ends[end - 1])), items[begin:end]
