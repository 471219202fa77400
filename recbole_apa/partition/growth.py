"""The shards of samples that join a run whose other samples have theirs already.

Shapes: n samples, k shards, d embedding size.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from recbole_apa.core.errors import PartitionError
from recbole_apa.partition.assignment import Assignment, check_partition_input
from recbole_apa.partition.bounded import assign_by_distance

if TYPE_CHECKING:
    from torch import Tensor


def assign_added(
    ids: Sequence[str],
    users: Sequence[str],
    embeddings: "Tensor",
    pieces: Mapping[str, int],
    known: Assignment,
    keeps_users_whole: bool = False,
) -> Assignment:
    """Assign the samples of later pieces, which have no shard yet, one piece after the other; all others stay.

    A user's samples go to the shard that has most of the user's samples of earlier pieces (the first of equals),
    however full it is. Then the other samples of the piece are walked as in Algorithm 1, by cosine distance to the
    means of the shards' members at that time, and no shard takes more of them than make it ceil(N / K), where N counts
    this piece and those before it. There is room for all: what one shard has too much, the others have too little.

    A sample's shard depends neither on later pieces nor on the order of ``ids``, so it is the same whether pieces come
    one by one or together.

    Args:
        ids: sample ids, (n,), all different.
        users: the user of each, (n,).
        embeddings: h, (n, d).
        pieces: sample id -> number of its piece; samples that it lacks belong to piece 0.
        known: the shards of the samples of the first pieces; at least one of them is among ``ids``.
        keeps_users_whole: new users are walked as users, each by the mean of the embeddings: a shard that becomes too
            full has less than one user too much.

    Raises:
        PartitionError: repeated ids, NaN or infinite embeddings, or a sample without a shard is not of a later piece
            than all those with one.
    """
    check_partition_input(ids, embeddings, 1, len(ids))
    rows_of: dict[int, list[int]] = {}
    for row in sorted(range(len(ids)), key=ids.__getitem__):
        rows_of.setdefault(pieces.get(ids[row], 0), []).append(row)
    first = _first_without(known, ids, rows_of)
    shard_of = dict(known.shard_of)
    for piece in sorted(piece for piece in rows_of if piece >= first):
        before = [row for earlier in sorted(rows_of) if earlier < piece for row in rows_of[earlier]]
        usual = _usual_shards([(users[row], shard_of[ids[row]]) for row in before])
        followers = [row for row in rows_of[piece] if users[row] in usual]
        shard_of |= {ids[row]: usual[users[row]] for row in followers}
        others = [row for row in rows_of[piece] if users[row] not in usual]
        if others:
            there = sorted([*before, *followers], key=ids.__getitem__)
            members = Assignment({ids[row]: shard_of[ids[row]] for row in there}, known.n_shards)
            walk = _walked_whole if keeps_users_whole else _walked
            names, of_user = [ids[row] for row in others], [users[row] for row in others]
            shard_of |= walk(names, of_user, embeddings[others], members, embeddings[there])
    return Assignment(shard_of, known.n_shards)


def _first_without(known: Assignment, ids: Sequence[str], rows_of: Mapping[int, Sequence[int]]) -> int:
    """The first piece whose samples have no shard, one more than the last piece if all have one.

    Raises:
        PartitionError: not all of that piece and of later ones have none.
    """
    has_shard = {piece: {ids[row] in known.shard_of for row in rows} for piece, rows in rows_of.items()}
    first = min((piece for piece, found in has_shard.items() if False in found), default=max(rows_of) + 1)
    if first == min(rows_of) or any(True in found for piece, found in has_shard.items() if piece >= first):
        name = next(ids[row] for row in rows_of[first] if ids[row] not in known.shard_of)
        raise PartitionError(
            f"found no shard for sample {name} of piece {first}, the first piece or one that is not later than all "
            "samples that have a shard; expected that only later pieces lack theirs: restore the run from a copy"
        )
    return first


def _usual_shards(found: Sequence[tuple[str, int]]) -> dict[str, int]:
    """User -> the shard with most of the user's samples, the first of equals.

    Args:
        found: user and shard of each sample.
    """
    counts: dict[str, Counter[int]] = {}
    for user, shard in found:
        counts.setdefault(user, Counter())[shard] += 1
    return {user: min(of_user, key=lambda shard: (-of_user[shard], shard)) for user, of_user in counts.items()}


def _walked(
    ids: Sequence[str], users: Sequence[str], embeddings: "Tensor", there: Assignment, points: "Tensor"
) -> dict[str, int]:
    """The shards of samples whose users are new: (n, d) -> sample id -> shard.

    Args:
        ids: sorted.
        there: the shards of the samples so far, in order of their ids, and ``points`` their embeddings, (m, d).
    """
    capacity, sizes = _capacity(ids, there), there.sizes()
    return assign_by_distance(ids, _distances(embeddings, there, points), capacity, sizes)


def _walked_whole(
    ids: Sequence[str], users: Sequence[str], embeddings: "Tensor", there: Assignment, points: "Tensor"
) -> dict[str, int]:
    """As :func:`_walked`, user by user."""
    from recbole_apa.partition.semantic_user import rows_by_user, user_means
    from recbole_apa.partition.whole_users import assign_whole

    rows = rows_by_user(ids, users)
    distances = _distances(user_means(rows, embeddings), there, points).numpy()
    n_samples = [len(of_user) for of_user in rows.values()]
    shards = assign_whole(list(rows), n_samples, distances, _capacity(ids, there), there.sizes())
    return {ids[row]: shards[user] for user, of_user in rows.items() for row in of_user}


def _capacity(ids: Sequence[str], there: Assignment) -> int:
    """ceil(N / K)."""
    return -(-(len(there.shard_of) + len(ids)) // there.n_shards)


def _distances(embeddings: "Tensor", there: Assignment, points: "Tensor") -> "Tensor":
    """Cosine distances to the means of the shards' members so far: (n, d) -> (n, k)."""
    from recbole_apa.partition.centres import member_means
    from recbole_apa.partition.semantic import cosine_distances

    centres = member_means(list(there.shard_of.values()), points, there.n_shards)
    distances = cosine_distances(embeddings, centres)
    # empty shards have the same centre: a product of matrices may round its columns differently
    empty = [shard for shard, size in enumerate(there.sizes()) if not size]
    distances[:, empty] = distances[:, empty[:1]]
    return distances
