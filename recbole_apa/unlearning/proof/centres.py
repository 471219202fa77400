"""Whether the centres of an inherited assignment are those of what remains: an older version kept means over embeddings
of what was forgotten, and with one sample in a shard that very embedding (docs/exactness.md, Centres)."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from recbole_apa.evidence.exactness import EARLIER, THIS_DATA
from recbole_apa.partition.inherited import with_own_centres
from recbole_apa.runs.names import PARTITION
from recbole_apa.runs.store import RunStore


def stale_centres(store: RunStore, manifest: Mapping[str, Any], dataset: Any) -> Iterator[str]:
    """In words, where centres that the manifest calls those of this data are not.

    Args:
        dataset: the training part.
    """
    if manifest.get("partition_of") != EARLIER or manifest.get("centres_of") != THIS_DATA:
        return
    partition, embeddings = store.load_partition(), store.load_embeddings()
    names = sorted(s.sample_id for s in dataset.samples)
    # rows that are missing are a finding of their own
    if partition is None or len(embeddings) != len(names) or set(names) - partition.shard_of.keys():
        return
    if not torch.equal(with_own_centres(partition, names, embeddings).centres, partition.centres):
        yield f"{PARTITION}: the centres of its shards are not the means of the samples that remain in them"


def kept_centres(manifest: Mapping[str, Any]) -> list[str]:
    """What an older version left, in words."""
    if manifest.get("partition_of") != EARLIER or manifest.get("centres_of") == THIS_DATA:
        return []
    return [
        "partition.safetensors keeps the centres of the first training, which are means over embeddings of forgotten "
        "samples too (with one sample in a shard, its embedding): an older version took them over; the next request "
        "replaces them"
    ]
