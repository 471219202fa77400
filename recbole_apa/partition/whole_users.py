"""The last lines of Algorithm 1 for users, whose samples are never divided.

Shapes: m users, k shards.
"""

import heapq
from collections.abc import Sequence

import numpy as np


def assign_whole(
    names: Sequence[str], sizes: Sequence[int], distance: np.ndarray, capacity: int, load: Sequence[int] | None = None
) -> dict[str, int]:
    """Go through all (user, shard) pairs from near to far, and assign the user if no shard has it yet and this one has
    room for all of the user's samples. Then whoever fits nowhere goes to the shard with fewest samples, in order of
    name; it exceeds the capacity by less than that user's samples if the shards can hold all samples. Ties in distance
    are broken by name, then shard.

    Args:
        names: users, (m,), all different.
        sizes: samples of each, (m,).
        distance: (m, k), finite.
        capacity: the most samples that a shard should have.
        load: how many it has already, (k,); None if all are empty.

    Returns:
        user -> shard.
    """
    by_name = sorted(range(len(names)), key=names.__getitem__)
    nearest = np.argsort(distance, axis=1, kind="stable")  # each user's shards from near to far
    taken, shard_of, left = list(load or [0] * distance.shape[1]), {}, []
    waiting = [(float(distance[row, nearest[row, 0]]), place, 0) for place, row in enumerate(by_name)]
    heapq.heapify(waiting)
    while waiting:
        _, place, rank = heapq.heappop(waiting)
        row = by_name[place]
        shard = int(nearest[row, rank])
        if taken[shard] + sizes[row] <= capacity:
            taken[shard] += sizes[row]
            shard_of[names[row]] = shard
        elif rank + 1 < distance.shape[1]:
            heapq.heappush(waiting, (float(distance[row, nearest[row, rank + 1]]), place, rank + 1))
        else:
            left.append(place)
    for row in (by_name[place] for place in sorted(left)):
        shard = taken.index(min(taken))
        taken[shard] += sizes[row]
        shard_of[names[row]] = shard
    return shard_of
