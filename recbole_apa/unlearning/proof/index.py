"""Check the index of a run: that nothing hides in its files, and that no row of it was forgotten."""

from collections.abc import Iterator

from recbole_apa.data.index.check import index_problems
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import KeyRing
from recbole_apa.evidence.search import in_index
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import INDEX
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.unlearning.checks import rows_to_search, sought_in
from recbole_apa.unlearning.prepare import served_requests


def index_findings(store: PinnedStore, manifest: Manifest) -> Iterator[str]:
    """Findings about the index's files: each has to be, byte for byte, what is written for its rows, with every user in
    the part that the run's salt gives."""
    prefix = f"{INDEX}/"
    names = [name.removeprefix(prefix) for name in manifest["files"] if name.startswith(prefix)]
    yield from index_problems(store.open_index(), names)


def hidden_findings(store: PinnedStore, visible_data: VisibleData, keys: KeyRing) -> Iterator[str]:
    """Findings about what requests forgot and the index still has, by the independent check: names are recognised by
    keyed digests, without the code that hides rows.

    Args:
        visible_data: says how ids are written, and what pairs mean in old requests.

    Raises:
        KeyFileError: a key is not in the ring.
        CertificateError: the index cannot be scanned.
    """
    lines = [e.content for e in served_requests(store)]
    if lines:
        rows = rows_to_search(store.folder / INDEX, visible_data, lines, store.salt, keys)
        yield from in_index(rows, sought_in(rows, visible_data, lines, store.salt, keys))
