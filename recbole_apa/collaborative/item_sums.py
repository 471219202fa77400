"""How often each item occurs in training rows, and how it is liked there: sums from which users can be subtracted."""

from dataclasses import dataclass

import numpy as np

from recbole_apa.collaborative.rows import CENTRED_UNIT, LABEL_UNIT, TrainingRows


@dataclass(frozen=True)
class ItemSums:
    """Sums over the training rows of each of m items, int64, (m,) each.

    Each user contributes integers that depend on that user's own rows alone. So sums of disjoint sets of users can be
    added and subtracted in any order, and are equal in every bit to sums computed anew.
    """

    n: np.ndarray
    """Rows."""
    values: np.ndarray
    """Values, in units of ``unit``."""
    centred: np.ndarray
    """Centred values, in 1/1024."""
    squares: np.ndarray
    """Their squares."""
    unit: int = LABEL_UNIT
    """The integer that stands for 1 in ``values``."""

    @classmethod
    def none(cls, n_items: int, unit: int = LABEL_UNIT) -> "ItemSums":
        """Of no rows."""
        n, values, centred, squares = (np.zeros(n_items, dtype=np.int64) for _ in range(4))
        return cls(n, values, centred, squares, unit)

    @classmethod
    def of(cls, rows: TrainingRows, n_items: int) -> "ItemSums":
        """The sums of whole users' rows.

        Args:
            n_items: m; item codes are below it.
        """
        centred = rows.centred()

        def summed(values: np.ndarray) -> np.ndarray:
            out = np.zeros(n_items, dtype=np.int64)
            np.add.at(out, rows.items, values)
            return out

        n = np.bincount(rows.items, minlength=n_items).astype(np.int64)
        return cls(n, summed(rows.values), summed(centred), summed(centred * centred), rows.unit)

    def plus(self, other: "ItemSums") -> "ItemSums":
        """The sums of the users of both."""
        n, values, centred, squares = (a + b for a, b in zip(self._columns(), other._columns(), strict=True))
        return ItemSums(n, values, centred, squares, self.unit)

    def minus(self, other: "ItemSums") -> "ItemSums":
        """The sums without the other's users, who were added with the same rows."""
        n, values, centred, squares = (a - b for a, b in zip(self._columns(), other._columns(), strict=True))
        return ItemSums(n, values, centred, squares, self.unit)

    def mean(self) -> float:
        """The mean value of all rows; NaN without rows."""
        n = int(self.n.sum())
        return int(self.values.sum()) / self.unit / n if n else float("nan")

    def means(self, strength: float) -> np.ndarray:
        """Mean value of each item, shrunk towards the mean of all rows, (m,), float64.

        Args:
            strength: how many rows the mean of all rows stands for.
        """
        return (self.values / self.unit + strength * self.mean()) / (self.n + strength)

    def levels(self) -> np.ndarray:
        """Mean centred value of each item, (m,), float64; 0 without rows."""
        return self.centred / CENTRED_UNIT / np.maximum(self.n, 1)

    def norms(self) -> np.ndarray:
        """Length of each item's vector of centred values without their mean, (m,), float64."""
        # an integer numerator: no small difference of large floats
        squares = self.squares.astype(object) * self.n.astype(object) - self.centred.astype(object) ** 2
        return np.sqrt(squares.astype(np.float64) / np.maximum(self.n, 1)) / CENTRED_UNIT

    def _columns(self) -> tuple[np.ndarray, ...]:
        return self.n, self.values, self.centred, self.squares
