"""What an inherited request leaves of the partition: all of it if no training sample changes, else the assignment.

In a run that has grown this holds for the samples of all pieces: which shard the later ones are in depends on the
samples, their users and their pieces, of which the last two never change (``fresh`` apart).
"""

from collections.abc import Sequence

from recbole_apa.data.samples import Sample
from recbole_apa.evidence.exactness import THIS_DATA
from recbole_apa.partition import PARTITIONERS
from recbole_apa.partition.inherited import assignment_alone
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import EMBEDDINGS
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.machines import Machines


def is_kept(manifest: Manifest) -> bool:
    """Whether a run's partition is what its training samples give, and depends on nothing else.

    Args:
        manifest: of the run before a request.
    """
    if not is_of_samples(manifest):
        return False
    never_forgot = not manifest["forgotten"] and "partition_of" not in manifest
    # centres that an older version kept contain what it forgot
    return never_forgot or manifest.get("centres_of") == THIS_DATA


def is_of_samples(manifest: Manifest) -> bool:
    """Whether partitions of a run depend on nothing but its training samples: not on item texts or on all interactions.

    Args:
        manifest: of the run.
    """
    settings = manifest["settings"]
    is_of_items = settings["partition_fit"] == "items"
    return not is_of_items and not PARTITIONERS.find(settings["partition"]).needs_collaborative


def keeps_partition(store: RunStore, left: Sequence[Sample]) -> bool:
    """Whether a new partition of the remaining samples would be the run's own, centres included.

    Args:
        store: the run before the request.
        left: the training samples after it.
    """
    return is_kept(store.manifest()) and store.lineage()[EMBEDDINGS] == {s.sample_id: s.digest() for s in left}


def inherit_partition(store: RunStore, pending: RunStore, left: Sequence[Sample], machines: Machines) -> bool:
    """Write the partition that an inherited request, or an addition, starts from, unless an interrupted attempt did.
    Samples that join are not in it: training assigns them.

    Args:
        store: the run before the request.
        left: the training samples after it.

    Returns:
        whether it is the run's own; otherwise the centres are left out, to be computed of what remains.
    """
    # on another kind of machine the embeddings are computed again, and the centres with them
    kept = not machines.retrains and keeps_partition(store, left)
    if pending.load_assignment() is None:
        old = store.load_partition()
        assert old is not None
        pending.save_partition(old if kept else assignment_alone(old, {s.sample_id for s in left}))
    return kept
