"""Begin the state that requests lead to, or go on with one that was interrupted."""

from collections.abc import Mapping

from recbole_apa.core.errors import RunError
from recbole_apa.data.dataset_digest import DatasetDigest
from recbole_apa.pipeline.manifest_options import options_of
from recbole_apa.runs.identity import RunIdentity
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.commit import pending_store
from recbole_apa.unlearning.outside import drop_attempt


def next_identity(
    store: RunStore, before: Manifest, digest: DatasetDigest, backbone: str, draw: Mapping[str, str | None]
) -> RunIdentity:
    """What will decide the numbers of the run.

    Args:
        digest: of the data that remains.
        backbone: where it is now.
        draw: hash cutoffs of the samples, by split.
    """
    settings = {**before["settings"], "backbone": backbone}
    options = options_of(before, store.place)
    return RunIdentity(settings, options, digest.hex(), digest.text(), before["backbone"], dict(draw))


def begin_pending(store: RunStore, identity: RunIdentity, about: Mapping[str, object]) -> RunStore:
    """The pending state's folder; what an interrupted attempt finished is kept.

    Args:
        about: entries of the manifest that have to be the same for that.
    """
    pending = pending_store(store)
    try:
        pending.begin(identity, about)
        begun = pending.manifest()
        stale = {name: begun.get(name) for name in about} != about
    except RunError:
        stale = True  # belongs to another request, or was cut off while it was begun
    if stale:
        drop_attempt(pending)
        pending.begin(identity, about)
    return pending
