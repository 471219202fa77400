"""The rows that a RecBole model of a run's evidence learns from, and whether it can: decided by the rows alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.baseline_rows import baseline_rows
from recbole_apa.data.presplit_files import Layout, PresplitRow, refuse_ids, write_presplit
from recbole_apa.data.run_data import RunData
from recbole_apa.pipeline.recbole_models import NAME
from recbole_apa.pipeline.recbole_names import find_model, learns_likes

ONE_IN = 10
"""One row in so many chooses the epoch."""
BATCH = 2048
"""Rows that RecBole takes at a time, if the last of these batches has more than one."""


@dataclass(frozen=True)
class EvidenceRows:
    """The rows of a run's training period, in order of their ids; without those of items that lack a line in the
    ``.item`` file, which RecBole would drop."""

    learnt: Sequence[PresplitRow]
    judged: Sequence[PresplitRow]
    """Those that choose the epoch; if one of the two would be empty, all rows are both."""
    items: frozenset[str] | None
    """The lines of the ``.item`` file; None if the run reads none."""

    @classmethod
    def of(cls, data: RunData) -> "EvidenceRows":
        """Those of a run."""
        lines = frozenset(data.texts.items) if data.texts.available else None
        which = in_order(data, baseline_rows(data, "all"))
        names, labels = data.rows.row_ids(which), data.rows.labels[which].tolist()
        told = zip(data.rows.users.texts(which), data.rows.items.texts(which), labels, strict=True)
        parts: tuple[list[PresplitRow], list[PresplitRow]] = [], []
        for name, (user, item, label) in zip(names, told, strict=True):
            if lines is None or item in lines:
                is_judged = digest_of("evidence models", name)[0] % ONE_IN == 0
                parts[is_judged].append(PresplitRow(user, item, label, ()))
        learnt, judged = parts if all(parts) else ([*parts[0], *parts[1]],) * 2
        return cls(learnt, judged, lines)

    def why_unfit(self, model: str, layout: Layout) -> str:
        """Why these rows are nothing to train a model on, whatever machine tries; empty if they are."""
        try:
            refuse_ids([*self.learnt, *self.judged], layout)
        except DataError as error:
            return str(error)
        likes = learns_likes(find_model(model))
        n, wanted = (sum(row.label for row in self.learnt), 1) if likes else (len(self.learnt), 2)
        if n < wanted:
            what = "likes" if likes else "interactions"
            return f"found {n} {what} to learn from in the training period, expected at least {wanted}"
        return self._without_negatives() if likes else ""

    def _without_negatives(self) -> str:
        """A model of likes compares each with an item that the user does not have; RecBole wants one for every user."""
        seen: dict[str, set[str]] = {}
        for row in [*(row for row in self.learnt if row.label), *self.judged]:
            seen.setdefault(row.user_id, set()).add(row.item_id)
        n_items = len(set().union(*seen.values()) if self.items is None else self.items)
        n_users = sum(len(items) == n_items for items in seen.values())
        return f"found {n_users} user(s) who have all {n_items} items, expected an item that each lacks" * (n_users > 0)

    def options(self) -> dict[str, object]:
        """RecBole's options that depend on the rows: DCN and NFM cannot normalise a last batch of one row."""
        n, size = len(self.learnt), BATCH
        while n > 1 and n % size == 1:
            size += 1
        return {} if size == BATCH else {"train_batch_size": size}

    def write(self, folder: Path, source: Path, layout: Layout) -> None:
        """Write them for RecBole; the columns of items are copied if the run reads them.

        Args:
            source: the folder of the run's dataset.

        Raises:
            RunError: the folder cannot be written.
        """
        parts = {"train": self.learnt, "valid": self.judged, "test": self.judged}
        write_presplit(folder, NAME, parts, folder / "none" if self.items is None else source, layout)


def in_order(data: RunData, rows: np.ndarray) -> np.ndarray:
    """Rows in order of their ids: how a dataset numbers them has no say."""
    return rows[np.argsort(np.array(data.rows.row_ids(rows), dtype=object), kind="stable")]
