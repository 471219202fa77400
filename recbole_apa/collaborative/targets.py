"""What terms are derived for: a split's samples, or the further rows that evidence is fitted on, in order of id, each
with its whole past."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.collaborative.pasts import Pasts, pasts_of
from recbole_apa.collaborative.rows import ItemCodes
from recbole_apa.data.run_data import RunData


@dataclass(frozen=True)
class Targets:
    """n rows of one kind, in order of their ids."""

    ids: tuple[str, ...]
    """Sample ids, (n,)."""
    users: tuple[str, ...]
    """Each one's user, (n,)."""
    labels: np.ndarray
    """0 or 1, (n,)."""
    pasts: Pasts

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of(
        cls, parts: Iterable[RunData], split: str, codes: ItemCodes | None = None, use_ratings: bool = False
    ) -> "Targets":
        """What :meth:`RunData.rows_of` gives, from some users at a time.

        Args:
            parts: whole users, each user in one of them; at least all users of the split's samples, or of the
                validation samples.
            codes: of items; needed for several parts. None takes those of the one part.
            use_ratings: as in :func:`~recbole_apa.collaborative.pasts.pasts_of`.
        """
        return cls.joined([_of_part(part, split, codes, use_ratings) for part in parts])

    @classmethod
    def joined(cls, parts: Sequence["Targets"]) -> "Targets":
        """The samples of several sets without a common one."""
        ids = [name for part in parts for name in part.ids]
        users = [user for part in parts for user in part.users]
        labels = np.concatenate([np.zeros(0, dtype=np.int64), *(part.labels for part in parts)])
        order = sorted(range(len(ids)), key=ids.__getitem__)
        pasts = Pasts.joined([part.pasts for part in parts]).take(np.array(order, dtype=np.int64))
        return cls(tuple(ids[i] for i in order), tuple(users[i] for i in order), labels[order], pasts)


def _of_part(data: RunData, split: str, codes: ItemCodes | None, use_ratings: bool) -> Targets:
    rows = data.rows_of(split)
    pasts = pasts_of(data, rows, use_ratings, codes)
    return Targets(tuple(data.rows.row_ids(rows)), tuple(data.rows.users.texts(rows)), data.rows.labels[rows], pasts)
