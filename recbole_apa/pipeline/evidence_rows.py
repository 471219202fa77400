"""The rows that a RecBole model of a run's evidence learns from, and whether it can: decided by the rows alone."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.baseline_rows import baseline_rows
from recbole_apa.data.presplit_files import Layout, PresplitRow, refuse_ids, write_presplit
from recbole_apa.data.run_data import RunData
from recbole_apa.data.tokens import Tokens
from recbole_apa.pipeline.recbole_models import NAME
from recbole_apa.pipeline.recbole_names import find_model, learns_likes

ONE_IN = 10
"""One row in so many chooses the epoch."""


@dataclass(frozen=True)
class LabelledRows:
    """Users, items and labels of n rows."""

    users: Tokens
    items: Tokens
    labels: np.ndarray
    """0 or 1, (n,)."""

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "LabelledRows":
        """Some of them, by number or mask."""
        return LabelledRows(self.users.take(rows), self.items.take(rows), self.labels[rows])

    def presplit(self) -> list[PresplitRow]:
        """As they are written, without histories."""
        told = zip(self.users.texts(), self.items.texts(), self.labels.tolist(), strict=True)
        return [PresplitRow(user, item, label, ()) for user, item, label in told]

    def names(self) -> list[str]:
        """The users and items that have a row."""
        return [column.names[code] for column in (self.users, self.items) for code in np.unique(column.codes).tolist()]


@dataclass(frozen=True)
class EvidenceRows:
    """The rows of a run's training period, in order of their ids; without those of items that lack a line in the
    ``.item`` file, which RecBole would drop."""

    learnt: LabelledRows
    judged: LabelledRows
    """Those that choose the epoch; if one of the two would be empty, all rows are both."""
    items: frozenset[str] | None
    """The lines of the ``.item`` file; None if the run reads none."""

    @classmethod
    def of(cls, data: RunData) -> "EvidenceRows":
        """Those of a run."""
        lines = frozenset(data.texts.items) if data.texts.available else None
        which = in_order(data, baseline_rows(data, "all"))
        if lines is not None:
            has_line = np.array([name in lines for name in data.rows.items.names], dtype=bool)
            which = which[has_line[data.rows.items.codes[which]]]
        rows = LabelledRows(data.rows.users.take(which), data.rows.items.take(which), data.rows.labels[which])
        digests = (digest_of("evidence models", name)[0] for name in data.rows.row_ids(which))
        is_judged = np.fromiter(digests, dtype=np.int64, count=len(which)) % ONE_IN == 0
        if is_judged.all() or not is_judged.any():
            return cls(rows, rows, lines)
        return cls(rows.take(~is_judged), rows.take(is_judged), lines)

    def why_unfit(self, model: str, layout: Layout) -> str:
        """Why these rows are nothing to train a model on, whatever machine tries; empty if they are."""
        try:
            refuse_ids([*self.learnt.names(), *self.judged.names()], layout)
        except DataError as error:
            return str(error)
        likes = learns_likes(find_model(model))
        n, wanted = (int(self.learnt.labels.sum()), 1) if likes else (len(self.learnt), 2)
        if n < wanted:
            what = "likes" if likes else "interactions"
            return f"found {n} {what} to learn from in the training period, expected at least {wanted}"
        return self._without_negatives() if likes else ""

    def _without_negatives(self) -> str:
        """A model of likes compares each with an item that the user does not have; RecBole wants one for every user."""
        seen = self.learnt.take(self.learnt.labels == 1), self.judged
        users, items = (Tokens.joined([getattr(rows, name) for rows in seen]) for name in ("users", "items"))
        pairs = np.unique(users.codes.astype(np.int64) * len(items.names) + items.codes)
        n_items = len(np.unique(items.codes)) if self.items is None else len(self.items)
        n_users = int((np.bincount(pairs // len(items.names)) == n_items).sum())
        return f"found {n_users} user(s) who have all {n_items} items, expected an item that each lacks" * (n_users > 0)

    def write(self, folder: Path, source: Path, layout: Layout) -> None:
        """Write them for RecBole; the columns of items are copied if the run reads them.

        Args:
            source: the folder of the run's dataset.

        Raises:
            RunError: the folder cannot be written.
        """
        learnt, judged = self.learnt.presplit(), self.judged.presplit()
        parts = {"train": learnt, "valid": judged, "test": judged}
        write_presplit(folder, NAME, parts, folder / "none" if self.items is None else source, layout)


def in_order(data: RunData, rows: np.ndarray) -> np.ndarray:
    """Rows in order of their ids: how a dataset numbers them has no say."""
    return rows[np.argsort(np.array(data.rows.row_ids(rows), dtype=object), kind="stable")]
