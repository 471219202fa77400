"""Train the adapters and drafts that requests at once have dropped, and make the rows of titles. What is there serves
meanwhile."""

from collections.abc import Mapping
from pathlib import Path

from recbole_apa.core.errors import RequestError
from recbole_apa.core.system.signals import terminable
from recbole_apa.next_item.run.result import ForgetResult
from recbole_apa.next_item.run.session import Session
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log
from recbole_apa.runs.names import TO_MAKE


@terminable()
@own_log()
def catch_up_next_items(folder: str | Path, config_dict: Mapping[str, object] | None = None) -> ForgetResult:
    """Make what requests at once have left for later; first finishes what an interrupted call left waiting.

    The state is then, bit for bit, the one that the same requests leave if they are not carried out at once.

    Args:
        folder: the run's folder.
        config_dict: where things are now, e.g. ``{"data_path": ...}``.

    Raises:
        RequestError: nothing is missing; nothing was changed.
        RunError: the run is damaged, in use, made from other data.
        SettingsError: it was made on another kind of machine, or is to be trained on a device that trains no adapters.
    """
    store = NextItemStore(folder)
    store.manifest()
    with run_lock(store.folder, "catching up"):
        session = Session(store, config_dict or {})
        waited, out = session.finish_waiting()
        if TO_MAKE in store.manifest():
            session.catch_up(out)
        elif not waited:
            raise RequestError("found nothing to catch up with: no request at once has left anything for later")
        return out
