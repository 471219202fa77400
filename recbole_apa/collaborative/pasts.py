"""What a user did before a target: the user's own earlier rows, whichever split they are in, as prompts show them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.collaborative.rows import ItemCodes, integer_values
from recbole_apa.data.run_data import RunData


@dataclass(frozen=True)
class Pasts:
    """n targets, each with its user's rows before it, oldest first; r such rows altogether."""

    items: np.ndarray
    """The target's item, (n,)."""
    lengths: np.ndarray
    """How many rows come before it, (n,)."""
    past_items: np.ndarray
    """Their items, (r,)."""
    past_values: np.ndarray
    """Their labels or ratings, float64, (r,)."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def owners(self) -> np.ndarray:
        """The number of the target that each of the r rows comes before, (r,)."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def steps(self) -> np.ndarray:
        """How many steps each of the r rows lies before its target, from 1, (r,)."""
        ends = np.cumsum(self.lengths)
        return np.repeat(ends, self.lengths) - np.arange(len(self.past_items))

    @classmethod
    def joined(cls, parts: Sequence["Pasts"]) -> "Pasts":
        """The targets of several, one after another."""
        none = np.zeros(0, dtype=np.int64)
        items, lengths, past_items = (
            np.concatenate([none, *(getattr(part, name) for part in parts)])
            for name in ("items", "lengths", "past_items")
        )
        return cls(items, lengths, past_items, np.concatenate([np.zeros(0), *(part.past_values for part in parts)]))

    def last(self, length: int) -> "Pasts":
        """The same targets with their last ``length`` rows alone: what a prompt shows."""
        kept = self.steps <= length
        lengths = np.minimum(self.lengths, length)
        return Pasts(self.items, lengths, self.past_items[kept], self.past_values[kept])

    def take(self, targets: np.ndarray) -> "Pasts":
        """Some of the targets, in the order given."""
        starts = np.concatenate(([0], np.cumsum(self.lengths)[:-1]))[targets]
        lengths = self.lengths[targets]
        ends = np.cumsum(lengths)
        rows = np.repeat(starts - (ends - lengths), lengths) + np.arange(int(lengths.sum()))
        return Pasts(self.items[targets], lengths, self.past_items[rows], self.past_values[rows])


def pasts_of(data: RunData, targets: np.ndarray, use_ratings: bool = False, codes: ItemCodes | None = None) -> Pasts:
    """The whole past of some targets.

    Args:
        targets: numbers among ``data.rows``, (n,).
        use_ratings: take what labels are made of in place of labels.
        codes: of items; None takes those of ``data.rows``.
    """
    shown = [data.windows.history(row, len(data.rows)) for row in targets.tolist()]
    codes = codes or ItemCodes(data.rows.items.names)
    return pasts_with(data, codes.of(data.rows.items.take(targets)), shown, use_ratings, codes)


def pasts_with(
    data: RunData, items: np.ndarray, shown: Sequence[np.ndarray], use_ratings: bool, codes: ItemCodes
) -> Pasts:
    """Pasts that are told.

    Args:
        items: code of each target's item, (n,).
        shown: n times numbers among ``data.rows``, oldest first.
    """
    rows = np.concatenate([np.zeros(0, dtype=np.int64), *shown])
    values, unit = integer_values(data, rows, use_ratings)
    lengths = np.array(list(map(len, shown)), dtype=np.int64)
    return Pasts(items, lengths, codes.of(data.rows.items.take(rows)), values / unit)
