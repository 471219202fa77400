"""The rows that the independent check searches, wherever they were read from."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class RawRows:
    """Every row of the files, or of an index, without any filter; n rows."""

    users: np.ndarray
    """Indices into ``user_names``, (n,)."""
    user_names: tuple[str, ...]
    items: np.ndarray
    """Indices into ``item_names``, (n,)."""
    item_names: tuple[str, ...]
    times: np.ndarray | None
    """Float64, (n,), NaN if a cell is not a number; None if there is no such column."""

    added: np.ndarray | None = None
    """Position in the ledger of the addition that brought each row, (n,), 0 for rows of the files; None if all are."""

    def __len__(self) -> int:
        return len(self.users)

    def row(self, row: int) -> tuple[str, str, float | None]:
        """The user, item and time of one row."""
        time = None if self.times is None else float(self.times[row])
        return self.user_names[self.users[row]], self.item_names[self.items[row]], time
