"""Rows that join a run, as files: with its state, and in the run's folder until they are taken into one."""

from pathlib import Path

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.whole import json_of, write_json
from recbole_apa.core.seeding import digest_over
from recbole_apa.evidence import Key
from recbole_apa.next_item.added_rows import AddedRows
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.runs.ledger_lines import ADDED

ADDED_FILE, INCOMING = "added.json", "incoming.json"


def write_added(state: Path, rows: AddedRows) -> None:
    """Write the rows into a state's folder; nothing if there are none."""
    if len(rows):
        write_json(state / ADDED_FILE, rows.plain())


def read_added(state: Path) -> AddedRows:
    """The rows of a state.

    Raises:
        RunError: the file is damaged.
    """
    path = state / ADDED_FILE
    return AddedRows.from_plain(json_of(read_plain(path), path)) if path.is_file() else AddedRows()


def keep_incoming(store: NextItemStore, rows: AddedRows, key: Key) -> str:
    """Write rows into the run's folder, before the ledger says that they were taken.

    Returns:
        their keyed digest.
    """
    write_json(store.folder / INCOMING, rows.plain())
    return rows_digest(rows, key)


def kept_incoming(store: NextItemStore, digest: str, key: Key) -> AddedRows:
    """The rows of an addition that waits.

    Args:
        digest: what :func:`keep_incoming` returned.

    Raises:
        RunError: they are missing, damaged, or not those that were taken.
    """
    path = store.folder / INCOMING
    if not path.is_file():
        raise RunError(f"{path} is missing, although the ledger says that its rows were taken: restore it from a copy")
    rows = AddedRows.from_plain(json_of(read_plain(path), path))
    if rows_digest(rows, key) != digest:
        raise RunError(f"{path} has other rows than were taken: restore the run folder from a copy")
    return rows


def remove_incoming(store: NextItemStore) -> None:
    """Delete the rows in the run's folder, unless an addition waits."""
    if not any(entry.kind == ADDED for entry in store.ledger(store.manifest()).waiting()):
        (store.folder / INCOMING).unlink(missing_ok=True)


def rows_digest(rows: AddedRows, key: Key) -> str:
    """The keyed digest of rows and their order."""
    times = [] if rows.times is None else map(float.hex, rows.times)
    told = ["added", str(len(rows)), *rows.users, *rows.items, *map(float.hex, rows.values), *times]
    return key.keyed(digest_over(told).hex())
