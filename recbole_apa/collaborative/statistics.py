"""The collaborative statistics of a run: sums that users join and leave."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from recbole_apa.collaborative.item_sums import ItemSums
from recbole_apa.collaborative.pair_sums import Pairs, PairSums
from recbole_apa.collaborative.rows import LABEL_UNIT, RATING_UNIT, ItemCodes, training_blocks
from recbole_apa.core.errors import RunError
from recbole_apa.data.run_data import RunData

_ITEMS, _PAIRS = ("n", "values", "centred", "squares"), ("n", "products", "firsts", "seconds")


@dataclass(frozen=True)
class Statistics:
    """Sums over the users of a run, over their rows of the training period."""

    codes: ItemCodes
    items: ItemSums
    pairs: PairSums
    """For the pairs that the run's validation and test samples need."""

    @classmethod
    def none(cls, codes: ItemCodes, pairs: Pairs, use_ratings: bool = False) -> "Statistics":
        """Of no users.

        Args:
            use_ratings: take what labels are made of in place of labels.
        """
        unit = RATING_UNIT if use_ratings else LABEL_UNIT
        return cls(codes, ItemSums.none(len(codes.names), unit), PairSums.none(pairs))

    @classmethod
    def of(cls, parts: Iterable[RunData], codes: ItemCodes, pairs: Pairs, use_ratings: bool = False) -> "Statistics":
        """Of all users, from some of them at a time: no part is kept in memory.

        Args:
            parts: whole users, each user in one of them.
        """
        out = cls.none(codes, pairs, use_ratings)
        for part in parts:
            out = out.plus(part)
        return out

    @property
    def use_ratings(self) -> bool:
        """Whether values are what labels are made of."""
        return self.items.unit == RATING_UNIT

    def plus(self, data: RunData) -> "Statistics":
        """With more users.

        Args:
            data: all their rows.
        """
        items, pairs = self._sums(data)
        return replace(self, items=self.items.plus(items), pairs=self.pairs.plus(pairs))

    def minus(self, data: RunData) -> "Statistics":
        """Without some users. Equal in every bit to statistics that never had them.

        Args:
            data: all rows that they were counted with.
        """
        items, pairs = self._sums(data)
        return replace(self, items=self.items.minus(items), pairs=self.pairs.minus(pairs))

    def after(self, before: RunData | None, left: RunData | None) -> "Statistics":
        """After a request.

        Args:
            before: all rows, before it, of the users of whom any row goes; None if they have none.
            left: all rows of theirs that remain; None if there are none.
        """
        out = self if before is None else self.minus(before)
        return out if left is None else out.plus(left)

    def only(self, pairs: Pairs) -> "Statistics":
        """With the sums of some of the pairs alone.

        Raises:
            KeyError: a pair without sums.
        """
        return replace(self, pairs=self.pairs.only(pairs))

    def arrays(self) -> dict[str, np.ndarray]:
        """All sums by name, for storage; items by code."""
        out = {f"items.{name}": getattr(self.items, name) for name in _ITEMS}
        out |= {f"pairs.{name}": getattr(self.pairs, name) for name in _PAIRS}
        return out | {"pairs.first": self.pairs.pairs.firsts, "pairs.second": self.pairs.pairs.seconds}

    @classmethod
    def read(cls, arrays: Mapping[str, np.ndarray], codes: ItemCodes, use_ratings: bool = False) -> "Statistics":
        """Parse what :meth:`arrays` returned.

        Raises:
            RunError: other arrays, types or sizes, or numbers that no rows give.
        """
        names = {f"items.{n}" for n in _ITEMS} | {f"pairs.{n}" for n in (*_PAIRS, "first", "second")}
        n_pairs = len(arrays.get("pairs.first", ()))
        sizes = {name: (len(codes.names) if name.startswith("items") else n_pairs,) for name in names}
        found = {name: array.shape for name, array in arrays.items()}
        if found != sizes or any(array.dtype != np.int64 for array in arrays.values()):
            kinds = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
            raise RunError(
                f"collaborative statistics: found arrays {kinds}, expected int64 of {sizes}; "
                "restore the run folder from a copy"
            )
        if not _are_sums(arrays, len(codes.names)):
            raise RunError(
                "collaborative statistics: found negative counts, or pairs out of order or of items "
                "that there are not; restore the run folder from a copy"
            )
        unit = RATING_UNIT if use_ratings else LABEL_UNIT
        pairs = PairSums(Pairs(arrays["pairs.first"], arrays["pairs.second"]), *(arrays[f"pairs.{n}"] for n in _PAIRS))
        n, values, centred, squares = (arrays[f"items.{name}"] for name in _ITEMS)
        return cls(codes, ItemSums(n, values, centred, squares, unit), pairs)

    def _sums(self, data: RunData) -> tuple[ItemSums, PairSums]:
        """The sums of users, all of whose rows are in ``data``; of some of them at a time."""
        bare = self.none(self.codes, self.pairs.pairs, self.use_ratings)
        items, pairs = bare.items, bare.pairs
        for rows in training_blocks(data, self.use_ratings, self.codes):
            items = items.plus(ItemSums.of(rows, len(self.codes.names)))
            pairs = pairs.plus(PairSums.of(rows, pairs.pairs))
        return items, pairs


def _are_sums(arrays: Mapping[str, np.ndarray], n_items: int) -> bool:
    """Whether counts are not negative, and pairs are of known items, each once and in order."""
    firsts, seconds = arrays["pairs.first"], arrays["pairs.second"]
    if any((arrays[name] < 0).any() for name in ("items.n", "items.squares", "pairs.n")):
        return False
    if any(((items < 0) | (items >= n_items)).any() for items in (firsts, seconds)):
        return False
    return bool((np.diff(firsts * n_items + seconds) > 0).all())
