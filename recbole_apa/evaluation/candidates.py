"""Lists of candidates to rank: a liked item among items that its user never rated, the same for every method.

Shapes: n lists, m candidates in each.
"""

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

import numpy as np

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.seeding import hash_order
from recbole_apa.data.samples import Sample


@dataclass(frozen=True)
class CandidateLists:
    """The lists to rank."""

    rows: list[int]
    """The liked sample of each list, by its position among the given samples, (n,)."""
    items: list[list[str]]
    """Item tokens, including the liked one, in an order that reveals nothing, (n, m)."""

    @property
    def n_candidates(self) -> int:
        """m."""
        return len(self.items[0])

    def expand(self, samples: Sequence[Sample]) -> list[Sample]:
        """One sample per candidate, list after list: the liked sample's user and history, the candidate as target."""
        return [
            replace(samples[row], item_id=item, label=int(item == samples[row].item_id))
            for row, items in zip(self.rows, self.items, strict=True)
            for item in items
        ]

    def ranks(self, scores: np.ndarray, samples: Sequence[Sample]) -> np.ndarray:
        """The rank of the liked item by score, 1 for the first: (n * m,) -> (n,). Ties are broken by position in the
        list."""
        table = scores.reshape(len(self.rows), self.n_candidates)
        place = np.array([items.index(samples[row].item_id) for row, items in zip(self.rows, self.items, strict=True)])
        own = table[np.arange(len(table)), place][:, None]
        before = np.arange(self.n_candidates)[None] < place[:, None]
        out: np.ndarray = 1 + (table > own).sum(1) + ((table == own) & before).sum(1)
        return out


def candidates_asked(mode: object) -> int | None:
    """RecBole's ``eval_args.mode`` -> number of candidates besides the liked item; None for ``labeled``.

    Raises:
        SettingsError: neither ``labeled`` nor ``uniN``.
    """
    wanted = mode.get("test") if isinstance(mode, Mapping) else mode
    if wanted == "labeled":
        return None
    found = re.fullmatch(r"uni([1-9]\d*)", str(wanted))
    if not found:
        raise SettingsError(f"--compare: eval_args.mode: found {wanted!r}, expected labeled or uniN, e.g. uni100")
    return int(found[1])


def draw_candidates(
    samples: Sequence[Sample], rated: Mapping[str, Set[str]], items: Sequence[str], n: int, seed: int
) -> CandidateLists:
    """``n`` items besides each liked sample's own, by a hash of the sample's id: lists are independent of each other.

    Args:
        rated: user -> items that must not be candidates.
        items: every item token.

    Raises:
        SettingsError: no sample is liked, or a user left fewer than ``n`` items.
    """
    rows = [i for i, sample in enumerate(samples) if sample.label]
    if not rows:
        raise SettingsError("ranking needs liked test samples, found none; raise test_samples")
    lists = []
    for row in rows:
        sample = samples[row]
        free = [item for item in sorted(items) if item not in rated[sample.user_id]]
        if len(free) < n:
            raise SettingsError(
                f"user {sample.user_id!r} left {len(free)} items unrated, expected at least {n}; use a smaller uniN"
            )
        drawn = [free[i] for i in hash_order(free, seed, "candidates", sample.sample_id)[:n]]
        mixed = [*drawn, sample.item_id]
        lists.append([mixed[i] for i in hash_order(mixed, seed, "order", sample.sample_id)])
    return CandidateLists(rows, lists)
