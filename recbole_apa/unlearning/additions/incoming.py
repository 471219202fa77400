"""Rows that are to join a run, as a file or a call gives them."""

from dataclasses import dataclass

import numpy as np

from recbole_apa.data.tokens import Tokens


@dataclass(frozen=True)
class Incoming:
    """Rows that are to join a run, in the order in which they were given; n rows, at least one."""

    users: Tokens
    """User names, (n,)."""
    items: Tokens
    """Item names, (n,)."""
    times: np.ndarray | None
    """Seconds, finite float64, (n,); None if the run has no timestamps."""
    values: np.ndarray
    """What the labels are derived from, float64, (n,)."""
    origin: str = "the call"
    """The file, or what else to name in messages."""
    lines: np.ndarray | None = None
    """The line of the file that each row is in, (n,); None if they came from a call."""

    def __len__(self) -> int:
        return len(self.values)

    def where(self, row: int) -> str:
        """A row's place, for messages."""
        return f"{self.origin}, row {row + 1}" if self.lines is None else f"{self.origin}, line {self.lines[row]}"
