"""RecBole's own splits, on columns: which rows are for training, validation and test. Pure numpy; a test checks that
they equal RecBole 1.2.1 (``data/dataset/dataset.py``, ``build``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any

import numpy as np

from recbole_apa.core.errors import SettingsError
from recbole_apa.data.eval_checks import eval_problems
from recbole_apa.data.row_blocks import BLOCK
from recbole_apa.data.samples import Windows, order_windows
from recbole_apa.data.tokens import Tokens

_N_PARTS = 3
_LEFT_OUT = {"valid_and_test": (1, 1), "valid_only": (1, 0), "test_only": (0, 1)}
"""RecBole's leave-one-out modes: how many of each group's last rows go to validation and to test."""


@dataclass(frozen=True)
class SplitSettings:
    """RecBole's ``eval_args``: how rows are ordered, grouped and split."""

    order: str
    """``TO``: by time; ``RO``: random."""
    mode: str
    """``RS``: by ratio; ``LS``: leave one out; ``TS``: by time."""
    value: Any
    """Ratios, or a leave-one-out mode."""
    by_user: bool
    """Whether each user's rows are split separately."""
    seed: int
    """Seed of the random order."""


def read_split(eval_args: Mapping[str, Any], seed: int) -> SplitSettings:
    """
    Raises:
        SettingsError: a value that RecBole does not support.
    """
    problems = eval_problems({"split": None, **eval_args})
    if problems:
        raise SettingsError("; ".join(problems))
    ((mode, value),) = eval_args["split"].items()
    by_user = mode != "RS" or str(eval_args.get("group_by")).lower() == "user"
    return SplitSettings(eval_args["order"], mode, value, by_user, seed)


def split_rows(
    users: Tokens, times: np.ndarray | None, settings: SplitSettings, windows: Windows | None = None
) -> list[np.ndarray]:
    """Row numbers of training, validation and test.

    Args:
        users: (n,).
        times: (n,); None uses the order of rows.
        windows: :func:`~recbole_apa.data.samples.order_windows` of users and times, if they are known.
    """
    n = len(users)
    if settings.by_user and settings.order == "TO" and settings.mode != "TS":
        return _split_users(windows or order_windows(users, times), times, settings)
    if settings.order == "RO":
        import torch

        order = torch.randperm(n, generator=torch.Generator().manual_seed(settings.seed)).numpy()
    else:
        order = np.arange(n) if times is None else np.argsort(times, kind="stable")
    if not settings.by_user:
        return np.split(order, _ends(n, settings.value))
    # groups in order of first appearance, each in the order of its rows
    codes, n_groups = users.take(order).ranked()
    grouped = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes, minlength=n_groups)
    rows = order[grouped]
    place = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    if settings.mode == "TS":
        ranks = np.empty(n, dtype=np.float32)
        ranks[np.arange(n) if times is None else np.argsort(times, kind="stable")] = np.arange(n)
        part = _time_parts(ranks[rows], place, sizes, settings)
    else:
        part = _parts(place, np.repeat(sizes, sizes), settings)
    return [rows[part == k] for k in range(_N_PARTS)]


def _split_users(windows: Windows, times: np.ndarray | None, settings: SplitSettings) -> list[np.ndarray]:
    """Each user's rows in order of time, users in order of their first row in time; some users at a time."""
    starts = np.flatnonzero(windows.n_before[windows.order] == 0)
    sizes, first = np.diff(starts, append=len(windows.order)), windows.order[starts]
    users = np.arange(len(starts)) if times is None else np.lexsort((first, times[first]))
    found: list[list[np.ndarray]] = [[windows.order[:0]] for _ in range(_N_PARTS)]
    ends = np.cumsum(sizes[users])
    for some in np.split(users, np.flatnonzero(np.diff(ends // BLOCK)) + 1):
        size = np.repeat(sizes[some], sizes[some])
        place = np.arange(len(size)) - np.repeat(np.cumsum(sizes[some]) - sizes[some], sizes[some])
        part = _parts(place, size, settings)
        rows = windows.order[np.repeat(starts[some], sizes[some]) + place]
        for k in range(_N_PARTS):
            found[k].append(rows[part == k])
    return [np.concatenate(parts) for parts in found]


def _parts(place: np.ndarray, size: np.ndarray, settings: SplitSettings) -> np.ndarray:
    """The split of each row, given its position in its group and the group's size, (n,)."""
    if settings.mode == "LS":
        n_valid, n_test = _LEFT_OUT[settings.value]
        # the first row of a group always stays in training; test then takes rows before validation
        n_test_here = np.minimum(n_test, size - 1)
        n_valid_here = np.minimum(n_valid, size - 1 - n_test_here)
        ends = [size - n_test_here - n_valid_here, size - n_test_here]
    else:
        most = int(size.max(initial=0))
        table = np.array([_ends(m, settings.value) if m else [0, 0] for m in range(most + 1)])
        ends = [table[size, 0], table[size, 1]]
    out: np.ndarray = (place >= ends[0]).astype(np.int8) + (place >= ends[1])
    return out


def _time_parts(ranks: np.ndarray, place: np.ndarray, sizes: np.ndarray, settings: SplitSettings) -> np.ndarray:
    """RecBole's ``time_based_split``: rows after a point in time common to all users are test rows.

    Args:
        ranks: rank of each row by time, float32 as in RecBole, (n,), grouped.
        place: position of each row in its group.
    """
    ratios = [ratio / sum(settings.value) for ratio in settings.value]
    early = ranks <= np.percentile(np.arange(len(ranks), dtype=np.float32), 100 * (1 - ratios[-1]))
    group = np.repeat(np.arange(len(sizes)), sizes)
    n_early = np.bincount(group[early], minlength=len(sizes))
    n_train = np.array([int(n * (ratios[0] / (1 - ratios[2]))) if ratios[2] < 1 else 0 for n in n_early])
    parts: np.ndarray = (place >= n_train[group]).astype(np.int8)
    return np.where(place < n_early[group], parts, np.int8(2))


def _ends(n: int, given: Sequence[float]) -> list[int]:
    """Where training and validation end among ``n`` rows (RecBole's ``_calcu_split_ids``): all splits but the first
    are rounded down, and one that would be empty takes a row from the first."""
    ratios = [ratio / sum(given) for ratio in given]
    counts = [int(ratio * n) for ratio in ratios]
    counts[0] = n - sum(counts[1:])
    for i in range(1, len(ratios)):
        if counts[0] <= 1:
            break
        if 0 < ratios[-i] * n < 1:
            counts[-i] += 1
            counts[0] -= 1
    return [counts[0], counts[0] + counts[1]]


def warn_of_order(part_of: np.ndarray, users: Tokens, windows: Windows) -> None:
    """Warn if pre-split files are not in order of time: histories go by time, whatever file a row is in.

    Args:
        part_of: index of each row's file, (n,).
        users: the rows' users.
    """
    parts, ordered = part_of[windows.order], users.codes[windows.order]
    n = int(((parts[1:] < parts[:-1]) & (ordered[1:] == ordered[:-1])).sum())
    if n:
        getLogger().warning(
            f"benchmark_filename: {n} rows of the training or validation file come after one of a later file of "
            "the same user: their histories show labels of test or validation rows"
        )
