"""Whether the centres of an inherited assignment are those of what remains: an older version kept means over embeddings
of what was forgotten, and with one sample in a shard that very embedding (docs/exactness.md, Centres)."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from recbole_apa.evidence.exactness import EARLIER, THIS_DATA
from recbole_apa.partition.inherited import with_own_centres
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import PARTITION
from recbole_apa.runs.store import RunStore

if TYPE_CHECKING:
    from recbole_apa.data.dataset import APADataset


def stale_centres(store: RunStore, manifest: Manifest, dataset: "APADataset") -> Iterator[str]:
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


def kept_centres(manifest: Manifest) -> list[str]:
    """What an older version left, in words."""
    if manifest.get("partition_of") != EARLIER or manifest.get("centres_of") == THIS_DATA:
        return []
    return [
        "partition.safetensors keeps the centres of the first training, which are means over embeddings of forgotten "
        "samples too (with one sample in a shard, its embedding): an older version took them over; the next request "
        "replaces them"
    ]
