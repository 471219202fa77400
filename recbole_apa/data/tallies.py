"""How often each item occurs in training rows, and how often it is liked: what the trivial rules need of all rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.data.samples import LabelledItems
from recbole_apa.data.tokens import Tokens


@dataclass(frozen=True)
class Tallies:
    """Counts for m items."""

    names: Sequence[str]
    """Items, each once."""
    n: np.ndarray
    """Rows, (m,)."""
    likes: np.ndarray
    """Rows with the label 1, (m,)."""

    @classmethod
    def of(cls, rows: "Sequence[tuple[str, int]] | Tallies") -> "Tallies":
        """Count pairs of item and label; counts are returned unchanged."""
        if isinstance(rows, Tallies):
            return rows
        if not isinstance(rows, LabelledItems):
            labels = np.array([label for _, label in rows], dtype=np.int64)
            rows = LabelledItems(Tokens.of(item for item, _ in rows), labels)
        codes, size = rows.items.codes, len(rows.items.names)
        likes = np.bincount(codes[rows.labels == 1], minlength=size)
        return cls(rows.items.names, np.bincount(codes, minlength=size), likes)

    def mean(self) -> float:
        """The mean label of all rows; NaN without rows."""
        n = int(self.n.sum())
        return int(self.likes.sum()) / n if n else float("nan")
