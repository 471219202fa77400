"""Count a run's collaborative statistics again from its rows, some users at a time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recbole_apa.collaborative import LOOKED_AT, Fitted, ItemCodes, RowCount, Statistics, Targets
from recbole_apa.data.run_data import RunData
from recbole_apa.runs.collaborative_files import load_collaborative
from recbole_apa.runs.pinned_run import PinnedStore


@dataclass
class Recount:
    """What a run keeps, and what its rows give."""

    kept: Fitted
    rows: RowCount
    sums: Statistics
    """For the pairs that are kept."""
    found: dict[str, list[Targets]] = field(default_factory=lambda: {name: [] for name in LOOKED_AT})

    @classmethod
    def of(cls, store: PinnedStore, items: Sequence[str], secret: bytes) -> "Recount":
        """Nothing counted yet.

        Args:
            items: the names of the index's items. Rows that share this very list need no look at names.
            secret: of the run's digests.

        Raises:
            RunError: what is kept is missing or damaged.
        """
        codes = ItemCodes(items)
        kept = load_collaborative(store, codes)
        use_ratings, pairs = kept.options.use_ratings, kept.statistics.pairs.pairs
        return cls(kept, RowCount(secret, use_ratings), Statistics.none(codes, pairs, use_ratings))

    def add(self, data: RunData, named: np.ndarray | None = None) -> None:
        """Count users, each with all rows; ``named`` as in :meth:`~recbole_apa.collaborative.CountedRows.of`."""
        self.rows.add(data, named)
        self.sums = self.sums.plus(data)
        for name, targets in self.found.items():
            targets.append(Targets.of([data], name, self.sums.codes, self.kept.options.use_ratings))

    def targets(self) -> dict[str, Targets]:
        """The samples by split, and the further rows."""
        return {split: Targets.joined(targets) for split, targets in self.found.items()}

    def differing_sums(self) -> list[str]:
        """The names of the sums that are not what the rows give."""
        kept: dict[str, Any] = self.kept.statistics.arrays()
        return [name for name, values in self.sums.arrays().items() if not np.array_equal(values, kept[name])]
