"""What an inherited request leaves of the partition: all of it if no training sample changes, else the assignment."""

from collections.abc import Sequence

from recbole_apa.core.settings import PartitionSettings
from recbole_apa.data.samples import Sample
from recbole_apa.evidence.exactness import THIS_DATA
from recbole_apa.partition import PARTITIONERS, Partition
from recbole_apa.partition.inherited import assignment_alone
from recbole_apa.runs.names import EMBEDDINGS
from recbole_apa.runs.store import RunStore


def keeps_partition(store: RunStore, left: Sequence[Sample], settings: PartitionSettings) -> bool:
    """Whether a new partition of the remaining samples would be the run's own, centres included.

    Args:
        store: the run before the request.
        left: the training samples after it.
    """
    if settings.partition_fit == "items" or PARTITIONERS.find(settings.partition).needs_collaborative:
        return False  # depends on more than the samples: on item texts, or on all interactions
    manifest = store.manifest()
    never_forgot = not manifest["forgotten"] and "partition_of" not in manifest
    # centres that an older version kept contain what it forgot
    is_own = never_forgot or manifest.get("centres_of") == THIS_DATA
    return is_own and store.lineage()[EMBEDDINGS] == {s.sample_id: s.digest() for s in left}


def inherited_partition(store: RunStore, left: Sequence[Sample], kept: bool) -> Partition:
    """The partition that an inherited request starts from.

    Args:
        kept: what :func:`keeps_partition` found; otherwise the centres are left out, to be computed of what remains.
    """
    old = store.load_partition()
    assert old is not None
    return old if kept else assignment_alone(old, {s.sample_id for s in left})
