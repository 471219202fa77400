"""Algorithm 1 of the paper on users instead of samples: whatever a person asks to forget lies in one shard."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from recbole_apa.core.ids import user_of
from recbole_apa.partition.assignment import Partition, check_partition_input
from recbole_apa.partition.partitioner import Partitioner, register_partition
from recbole_apa.partition.semantic import cosine_distances, fit_centres
from recbole_apa.partition.whole_users import assign_whole


@register_partition
class SemanticUserPartitioner(Partitioner):
    """A user's embedding is the mean of the h of the user's samples. K-means on these, then assignment of whole users
    by cosine distance to the centres; the capacity counts samples.

    A user who fits nowhere goes to the shard with fewest samples, which then exceeds the capacity by less than that
    user's samples. The result does not depend on the order of the samples.
    """

    name = "semantic_user"
    takes_capacity = True
    keeps_users_whole = True

    def __call__(self, ids: Sequence[str], embeddings: Tensor, n_shards: int, capacity: int, seed: int) -> Partition:
        """See :class:`~recbole_apa.partition.partitioner.Partitioner`."""
        check_partition_input(ids, embeddings, n_shards, capacity)
        rows = rows_by_user(ids, [user_of(name) for name in ids])
        users, means = list(rows), user_means(rows, embeddings)
        centres = fit_centres(users, means, n_shards, seed)
        sizes = [len(rows[user]) for user in users]
        shards = assign_whole(users, sizes, cosine_distances(means, centres).numpy(), capacity)
        return Partition({ids[row]: shards[user] for user in users for row in rows[user]}, centres)


def rows_by_user(ids: Sequence[str], users: Sequence[str]) -> dict[str, list[int]]:
    """User -> rows of the user's samples in order of their ids; users sorted.

    Args:
        ids: sample ids, (n,).
        users: the user of each, (n,).
    """
    rows: dict[str, list[int]] = {user: [] for user in sorted(set(users))}
    for row in sorted(range(len(ids)), key=ids.__getitem__):
        rows[users[row]].append(row)
    return rows


def user_means(rows: Mapping[str, Sequence[int]], embeddings: Tensor) -> Tensor:
    """The mean embedding of each user's samples: (n, d) -> (m, d)."""
    return torch.stack([embeddings[list(of_user)].mean(0) for of_user in rows.values()])
