"""Check that the centres of an assignment that was taken over are those of what remains: an older version kept means
over embeddings of forgotten samples, which for a shard of one is the embedding itself (docs/exactness.md, Centres). And
that those of a run that has grown are the means of all."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from recbole_apa.evidence.exactness import EARLIER, THIS_DATA
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import PARTITION
from recbole_apa.runs.store import RunStore

if TYPE_CHECKING:
    from recbole_apa.data.dataset import APADataset


def stale_centres(store: RunStore, manifest: Manifest, dataset: "APADataset") -> Iterator[str]:
    """Findings where the manifest says that the centres are those of this data, and they are not.

    Args:
        dataset: the training part.
    """
    if manifest.get("centres_of") != THIS_DATA:
        return
    names = sorted(s.sample_id for s in dataset.samples)
    # a new partition computes them in its own way, unless it is of several pieces
    if manifest.get("partition_of") != EARLIER and not store.load_pieces().keys() & set(names):
        return
    from recbole_apa.partition.inherited import with_own_centres

    partition, embeddings = store.load_partition(), store.load_embeddings()
    # missing rows are a separate finding
    if partition is None or len(embeddings) != len(names) or set(names) - partition.shard_of.keys():
        return
    if not with_own_centres(partition, names, embeddings).centres.equal(partition.centres):
        yield f"{PARTITION}: its shards' centres are not the means of the samples that remain in them"


def kept_centres(manifest: Manifest) -> list[str]:
    """What an older version left, in words."""
    if manifest.get("partition_of") != EARLIER or manifest.get("centres_of") == THIS_DATA:
        return []
    return [
        "partition.safetensors keeps the centres of the first training, which are means that include embeddings of "
        "forgotten samples (in a shard of one sample, its embedding): an older version kept them; the next request "
        "replaces them"
    ]
