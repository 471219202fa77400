"""Which interaction a method with shards is asked to forget."""

from recbole_apa.core.seeding import hash_order
from recbole_apa.pipeline.build import RunResult

Pair = tuple[str, str]


def single_shard_requests(made: RunResult) -> list[Pair]:
    """Interactions (user, item) that occur in the training samples of exactly one shard, in hash order: the efficiency
    protocol of RecEraser and APA, one shard per request.

    If every interaction is in several shards (a random partition scatters a user's overlapping histories), those in the
    fewest.
    """
    shards: dict[Pair, set[int]] = {}
    partition = made.trainer.partition
    assert partition is not None
    for sample in made.data.train_set.samples:
        held = [(sample.user_id, sample.item_id), *((sample.user_id, e.item_id) for e in sample.history)]
        for pair in held:
            shards.setdefault(pair, set()).add(partition.shard_of[sample.sample_id])
    fewest = min(len(ks) for ks in shards.values())
    alone = sorted(pair for pair, ks in shards.items() if len(ks) == fewest)
    return [alone[i] for i in hash_order([f"{u}:{i}" for u, i in alone], 0, "requests")]
