"""A run on disk: the files of a trained state, the ledger of its requests, the lock, logs.

Knows nothing about trainers or requests; ``remote`` is for runs on object stores.
"""

from recbole_apa.runs.ledger import Entry, Ledger
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log
from recbole_apa.runs.manifest import check_manifest
from recbole_apa.runs.pinned_run import PinnedStore, read_settled
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.runs.store import RunStore

__all__ = [
    "Entry",
    "Ledger",
    "PinnedStore",
    "ReusableState",
    "RunStore",
    "check_manifest",
    "own_log",
    "read_settled",
    "run_lock",
]
