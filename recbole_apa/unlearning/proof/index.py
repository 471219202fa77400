"""Check the index of a run: that nothing hides in its files, and that no row of it was forgotten."""

from collections.abc import Iterator

import numpy as np

from recbole_apa.data.index.check import index_problems
from recbole_apa.data.index.order import compact
from recbole_apa.data.index.read import Index
from recbole_apa.data.samples import Interactions
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import INDEX
from recbole_apa.runs.pinned_run import PinnedStore


def index_findings(store: PinnedStore, manifest: Manifest) -> Iterator[str]:
    """Findings about the index's files: each has to be, byte for byte, what is written for its rows, with every user in
    the part that the run's salt gives."""
    prefix = f"{INDEX}/"
    names = [name.removeprefix(prefix) for name in manifest["files"] if name.startswith(prefix)]
    yield from index_problems(store.open_index(), names)


def hidden_findings(store: PinnedStore, visible_data: VisibleData) -> Iterator[str]:
    """Findings about rows of the index that a request hides."""
    if not visible_data.forgotten:
        return
    n_hidden = sum(int((~visible_data.visible(rows)).sum()) for rows in _parts(store.open_index(), visible_data))
    if n_hidden:
        yield f"{INDEX}/ has {n_hidden} forgotten interactions"


def _parts(index: Index, visible_data: VisibleData) -> Iterator[Interactions]:
    """The rows of each part; without labels, which hide nothing."""
    for rows in index.parts():
        labels = np.zeros(len(rows), dtype=np.int64)
        yield Interactions(
            rows.users, compact(rows.items), labels, rows.times, rows.values, plain_ids=visible_data.plain_ids
        )
