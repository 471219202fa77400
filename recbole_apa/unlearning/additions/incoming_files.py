"""``incoming/``: rows that were taken and are not in the run's index yet, so that an addition can be resumed."""

from pathlib import Path

import numpy as np

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import write_whole
from recbole_apa.core.seeding import digest_over
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import NO_ROLE, IndexRows
from recbole_apa.data.index.write import write_index
from recbole_apa.evidence import Key
from recbole_apa.runs.names import INCOMING
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.additions.incoming import Incoming

_ORIGIN = "an earlier call"


def keep_incoming(store: RunStore, incoming: Incoming, key: Key) -> str:
    """Write the rows into the run's folder, before the ledger says that they were taken.

    Returns:
        the keyed digest of what was written.

    Raises:
        RunError: it cannot be written.
    """
    n = len(incoming)
    none, zeros = np.full(n, NO_ROLE, dtype=np.int8), np.zeros(n, dtype=np.uint8)
    since = np.zeros(n, dtype=np.int32)
    users, items = incoming.users.compact(), incoming.items.compact()
    rows = IndexRows(users, items, incoming.times, incoming.values, np.arange(n), none, zeros, since)

    def write(folder: Path) -> None:
        write_index(folder, rows, store.salt, About(), n_parts=1)

    write_whole(store.folder / INCOMING, write)
    return rows_digest(incoming, key)


def kept_incoming(store: RunStore, digest: str, key: Key) -> Incoming:
    """The rows of an addition that waits.

    Args:
        digest: what :func:`keep_incoming` returned.

    Raises:
        RunError: they are missing, damaged, or not those that were taken.
    """
    folder = store.folder / INCOMING
    if not folder.is_dir():
        raise RunError(
            f"{store.place}/{INCOMING} is missing, although the ledger says that its rows were taken: restore the run "
            "folder from a copy"
        )
    rows = Index(folder, store.salt).all_rows()
    incoming = Incoming(rows.users, rows.items, rows.times, rows.values, _ORIGIN)
    if rows_digest(incoming, key) != digest:
        raise RunError(f"{store.place}/{INCOMING} has other rows than were taken: restore the run folder from a copy")
    return incoming


def rows_digest(incoming: Incoming, key: Key) -> str:
    """The keyed digest of an addition's rows and of their order."""
    told: list[object] = [len(incoming)]
    for column in (incoming.users.compact(), incoming.items.compact()):
        told += [len(column.names), *column.names, column.codes.astype("<i4").tobytes().hex()]
    for numbers in (incoming.times, incoming.values):
        told.append("" if numbers is None else numbers.astype("<f8").tobytes().hex())
    return key.keyed(digest_over(told).hex())
