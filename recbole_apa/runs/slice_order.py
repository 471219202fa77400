"""``slice_order.json``: which slice users are in whom the option ``slice_order`` named, by keyed digests."""

from typing import TYPE_CHECKING

from recbole_apa.core.places import Listed
from recbole_apa.data.forgotten import Digester
from recbole_apa.evidence import KeyRing
from recbole_apa.runs.names import KEY, SLICE_ORDER

if TYPE_CHECKING:
    from recbole_apa.runs.store import RunStore


def slice_word(digester: Digester, user: str) -> str:
    """The digest under which a user's slice is kept."""
    return digester.of("slice", user)


def listed_of(store: "RunStore", keys: KeyRing) -> Listed | None:
    """The slices of users whom the run's order names; None if it has none.

    Raises:
        KeyFileError: the run's key is missing.
        RunError: damaged.
    """
    if not store.has(SLICE_ORDER):
        return None
    table, digester = store.load_slice_order(), slice_digester(store, keys)
    return lambda user: table.get(slice_word(digester, user))


def slice_digester(store: "RunStore", keys: KeyRing) -> Digester:
    """How the digests of a run's order are made."""
    return Digester(store.salt, keys.key(str(store.manifest()[KEY])))
