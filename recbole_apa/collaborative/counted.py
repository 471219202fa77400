"""Which rows collaborative statistics are counted from, as one digest that users join and leave."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recbole_apa.collaborative.rows import counted_rows, integer_values
from recbole_apa.core.errors import RunError
from recbole_apa.data.dataset_digest import DatasetDigest, counted_digest, no_digest
from recbole_apa.data.row_blocks import row_numbers
from recbole_apa.data.run_data import RunData


@dataclass(frozen=True)
class CountedRows:
    """Rows of the training period: how many, of how many users, and what is in them."""

    n_rows: int
    n_users: int
    digest: DatasetDigest
    """:func:`~recbole_apa.data.dataset_digest.counted_digest`."""

    @classmethod
    def none(cls, secret: bytes) -> "CountedRows":
        """Of no users."""
        return cls(0, 0, no_digest(secret))

    @classmethod
    def of(cls, data: RunData, secret: bytes, use_ratings: bool, named: np.ndarray | None = None) -> "CountedRows":
        """The rows of some users that statistics count.

        Args:
            data: all rows of these users.
            secret: of the run's digests.
            use_ratings: as in :class:`~recbole_apa.collaborative.statistics.Statistics`.
            named: :func:`~recbole_apa.data.dataset_digest.named_items` of ``data.rows.items.names`` under this secret,
                if it is known.
        """
        counted = counted_rows(data)
        order = data.windows.order[counted[data.windows.order]]
        values, _ = integer_values(data, row_numbers(len(data.rows)), use_ratings)
        digest = counted_digest(data.rows, order, values, secret, named)
        return cls(len(order), len(np.unique(data.rows.users.codes[order])), digest)

    def plus(self, other: "CountedRows") -> "CountedRows":
        """With the rows of other users."""
        n_rows, n_users = self.n_rows + other.n_rows, self.n_users + other.n_users
        return CountedRows(n_rows, n_users, self.digest.plus(other.digest))

    def minus(self, other: "CountedRows") -> "CountedRows":
        """Without the rows of some users."""
        n_rows, n_users = self.n_rows - other.n_rows, self.n_users - other.n_users
        return CountedRows(n_rows, n_users, self.digest.minus(other.digest))

    def after(self, before: RunData, left: RunData | None, use_ratings: bool) -> "CountedRows":
        """After a request.

        Args:
            before: all rows, before it, of the users of whom any row goes.
            left: all rows of theirs that remain; None if there are none.
        """
        secret = self.digest.secret
        out = self.minus(CountedRows.of(before, secret, use_ratings))
        return out if left is None else out.plus(CountedRows.of(left, secret, use_ratings))

    def to_json(self) -> dict[str, object]:
        """For the manifest."""
        return {
            "rows": self.n_rows,
            "users": self.n_users,
            "digest": self.digest.hex(),
            "sums": self.digest.text(),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, object], secret: bytes) -> "CountedRows":
        """Parse what :meth:`to_json` returned.

        Raises:
            RunError: the sums do not give the digest under this secret.
        """
        try:
            found = cls(int(str(told["rows"])), int(str(told["users"])), DatasetDigest.read(str(told["sums"]), secret))
        except (KeyError, ValueError):
            found = None
        if found is None or found.digest.hex() != told.get("digest"):
            raise RunError(
                "the manifest's digest of the rows that collaborative statistics are counted from is damaged: its sums "
                "do not give it; restore the run folder from a copy"
            )
        return found


class RowCount:
    """Counts rows of some users at a time.

    Args:
        secret: of the run's digests.
    """

    def __init__(self, secret: bytes, use_ratings: bool) -> None:
        self.found, self._use_ratings = CountedRows.none(secret), use_ratings

    def add(self, data: RunData, named: np.ndarray | None = None) -> None:
        """Add users, each with all rows; ``named`` as in :meth:`CountedRows.of`."""
        self.found = self.found.plus(CountedRows.of(data, self.found.digest.secret, self._use_ratings, named))
