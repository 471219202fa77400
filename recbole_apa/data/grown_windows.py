"""Histories in a run that has grown: those of added training samples leave out what the run is evaluated on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recbole_apa.data.samples import Windows


@dataclass(frozen=True)
class GrownWindows(Windows):
    """Each user's rows in order of time; the targets of validation and test samples stand before added training rows,
    whose histories do not show them."""

    passing: np.ndarray
    """The rows whose histories leave those targets out, (n,), bool."""
    judged: np.ndarray
    """The targets of validation and test samples, (n,), bool."""

    @cached_property
    def n_history(self) -> np.ndarray:
        """Override: without the targets that are left out."""
        before = np.concatenate(([0], np.cumsum(self.judged[self.order])))
        left_out = before[self.place] - before[self.place - self.n_before]
        return np.where(self.passing, self.n_before - left_out, self.n_before)

    def history(self, row: int, length: int) -> np.ndarray:
        """Override: without the targets that are left out."""
        if not self.passing[row]:
            return super().history(row, length)
        earlier = self.order[self.place[row] - self.n_before[row] : self.place[row]]
        shown = earlier[~self.judged[earlier]]
        return shown[len(shown) - min(length, len(shown)) :]
