"""Check that a run's order of users names nobody whom the run may not see."""

from collections.abc import Iterator

from recbole_apa.evidence import KeyRing
from recbole_apa.runs.names import SLICE_ORDER
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.runs.slice_order import slice_digester, slice_word


def order_findings(store: PinnedStore, keys: KeyRing) -> Iterator[str]:
    """Findings where ``slice_order.json`` keeps the slice of somebody without a row in the index."""
    digester, left = slice_digester(store, keys), set(store.load_slice_order())
    for part in store.open_index().parts():
        left -= {slice_word(digester, user) for user in part.users.compact().names}
    if left:
        yield f"{SLICE_ORDER} names {len(left)} users of whom the run has no row"
