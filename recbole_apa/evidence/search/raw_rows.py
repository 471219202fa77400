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

    def and_rows(self, other: "RawRows") -> "RawRows":
        """These rows, and others after them."""
        places = {name: n for n, name in enumerate(dict.fromkeys([*self.user_names, *other.user_names]))}
        items = {name: n for n, name in enumerate(dict.fromkeys([*self.item_names, *other.item_names]))}
        both = (self, other)
        times = [rows.times for rows in both if len(rows) and rows.times is not None]
        are_told = len(times) == sum(len(rows) > 0 for rows in both)
        return RawRows(
            np.concatenate([_renamed(rows.users, rows.user_names, places) for rows in both]),
            tuple(places),
            np.concatenate([_renamed(rows.items, rows.item_names, items) for rows in both]),
            tuple(items),
            np.concatenate(times) if times and are_told else None,
            np.concatenate([np.zeros(len(rows), np.int64) if rows.added is None else rows.added for rows in both]),
        )

    def row(self, row: int) -> tuple[str, str, float | None]:
        """The user, item and time of one row."""
        time = None if self.times is None else float(self.times[row])
        return self.user_names[self.users[row]], self.item_names[self.items[row]], time


def _renamed(codes: np.ndarray, names: tuple[str, ...], places: dict[str, int]) -> np.ndarray:
    """The places of names instead of their codes, (n,)."""
    return np.array([places[name] for name in names], dtype=np.int64)[codes] if len(codes) else codes
