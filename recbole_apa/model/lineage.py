"""Which samples each file of a run depends on, and the order of its rows."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from recbole_apa.core.seeding import digest_of
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.runs.names import EMBEDDINGS, MEMORY, METRICS, PARTITION, STATES

if TYPE_CHECKING:
    from torch import Tensor

    from recbole_apa.partition import Partition


def lineage_of(
    partition: "Partition", splits: Mapping[str, Sequence[Sample]], with_states: bool
) -> dict[str, dict[str, str]]:
    """Artefact -> sample id -> digest of what the artefact saw of it. Figures and report depend on all of these.

    Args:
        with_states: whether the run keeps frozen activations.
    """
    train, valid, test = ({s.sample_id: s.digest() for s in splits[name]} for name in SPLITS)
    seen = {f"shards/{k:03d}": {name: train[name] for name in partition.members(k)} for k in range(partition.n_shards)}
    if with_states:
        seen[STATES] = {**train, **valid}
    return {**seen, PARTITION: train, EMBEDDINGS: train, MEMORY: valid, METRICS: test}


def sample_order(samples: Sequence[Sample]) -> list[int]:
    """Positions sorted by sample id: the order of rows in a run's files."""
    return sorted(range(len(samples)), key=lambda i: samples[i].sample_id)


def number_users(user_ids: Sequence[str]) -> "Tensor":
    """0, 1, 2, ... in order of first appearance, (n,), int64."""
    import torch

    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(user, len(numbers)) for user in user_ids], dtype=torch.int64)


def shard_key(shard: int, samples: Sequence[Sample]) -> str:
    """A digest that changes when the shard's samples or their contents change."""
    return digest_of(shard, *sorted(s.digest() for s in samples)).hex()
