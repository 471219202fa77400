"""The assignment that Algorithm 1 ends with: samples go to near shards of bounded size.

Shapes: n samples, k shards.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = 1 << 16
"""Samples whose distances are copied at once."""


def assign_by_distance(
    ids: Sequence[str], distance: "Tensor", capacity: int, load: Sequence[int] | None = None
) -> dict[str, int]:
    """Algorithm 1, lines 4-10: go through all (sample, shard) pairs from near to far, and assign the sample if it is
    free and the shard has room. Ties in distance are broken by sample id, then shard.

    The pairs are not sorted: a free sample's next shard changes only when a shard becomes full, which happens at most
    k times.

    Args:
        distance: (n, k), finite.
        capacity: the most samples that a shard may have.
        load: how many it has already, (k,), which may be more; None if all are empty.

    Returns:
        sample id -> shard. Samples are missing from it if the shards cannot hold all of them.
    """
    place = np.empty(len(ids), np.int64)
    place[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
    room = [max(capacity - there, 0) for there in load or [0] * distance.shape[1]]
    shards = _walk(distance.numpy(), place, room).tolist()
    return {name: shard for name, shard in zip(ids, shards, strict=True) if shard >= 0}


def _walk(distance: np.ndarray, place: np.ndarray, room: Sequence[int]) -> np.ndarray:
    """The shard of each sample, -1 if no shard has room: (n, k), the samples' places by id, (n,), and how many each
    shard can take, (k,) -> (n,)."""
    n, n_shards = distance.shape
    shard_of = np.full(n, -1)
    near = np.empty(n, distance.dtype)  # the distance to the shard for which a sample waits
    is_open = np.ones(n_shards, bool)
    waiting = [np.empty(0, np.int64) for _ in range(n_shards)]  # samples, from near to far
    arriving = np.arange(n)
    while len(arriving) and is_open.any():
        nearest = _nearest(distance, arriving, is_open)
        near[arriving] = distance[arriving, nearest]
        for shard in np.unique(nearest).tolist():
            rows = np.concatenate([waiting[shard], arriving[nearest == shard]])
            waiting[shard] = rows[np.lexsort((place[rows], near[rows]))]
        arriving = np.empty(0, np.int64)
        over = [k for k in range(n_shards) if is_open[k] and len(waiting[k]) > room[k]]
        if over:
            # the first to be full: no shard that fills later can send anyone to it
            full = min(over, key=lambda k: _last(near, place, waiting[k], room[k]))
            is_open[full] = False
            waiting[full], arriving = waiting[full][: room[full]], waiting[full][room[full] :]
    for shard, rows in enumerate(waiting):
        shard_of[rows] = shard
    return shard_of


def _nearest(distance: np.ndarray, rows: np.ndarray, is_open: np.ndarray) -> np.ndarray:
    """The nearest open shard of some samples, the first of equals: (n, k), (m,), (k,) -> (m,)."""
    parts = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
    return np.concatenate([np.where(is_open, distance[part], np.inf).argmin(1) for part in parts])


def _last(near: np.ndarray, place: np.ndarray, rows: np.ndarray, room: int) -> tuple[float, int]:
    """Distance and place of the last sample that still fits into a shard; one without room is full from the
    beginning."""
    if room == 0:
        return -np.inf, 0
    row = rows[room - 1]
    return float(near[row]), int(place[row])
