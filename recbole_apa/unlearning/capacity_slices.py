"""What slices spare of a stream's cost: a shard is trained again from the first slice on that a request affects.

The model: a request's samples are a user's, so they are in one of L slices, each equally likely, in every shard that it
reaches. The slices from there on are (L + 1) / (2 L) of a shard on average. Of several requests for one shard the
earliest slice counts; with a Poisson number of them, x on average, the expected share is the mean over i = 1, ..., L of
1 - exp(-x i / L).
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence


def share_of_one(n_slices: int) -> float:
    """Expected share of a shard that one request trains again."""
    return (n_slices + 1) / (2 * n_slices)


def share_of_batch(n_slices: int, mean_requests: float) -> float:
    """The same for a Poisson number of requests; 0 counts where there is none.

    Args:
        mean_requests: that reach the shard.
    """
    return sum(-math.expm1(-mean_requests * i / n_slices) for i in range(1, n_slices + 1)) / n_slices


def shares_of(hit: Sequence[set[int]], shares: Sequence[float]) -> Mapping[int, float]:
    """Shard -> the share that requests carried out together train again.

    Args:
        hit: the shards of each request.
        shares: the share of each that it trains again.
    """
    most: dict[int, float] = {}
    for shards, share in zip(hit, shares, strict=True):
        for shard in shards:
            most[shard] = max(share, most.get(shard, 0.0))
    return most


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When workers are done with some shards, the longest first."""
    left = sorted(seconds, reverse=True)
    if left and left[0] == left[-1]:
        return math.ceil(len(left) / workers) * left[0]
    free = [0.0] * workers
    for one in left:
        heapq.heapreplace(free, free[0] + one)
    return max(free)
