"""What is said where a request was taken and something kept it from being finished."""

from collections.abc import Iterator
from contextlib import contextmanager

from recbole_apa.core.errors import RunError
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore


@contextmanager
def taken(store: RunStore) -> Iterator[None]:
    """Errors of places and disks end with what became of the request.

    Raises:
        RunError: in place of those, and of ``OSError``.
    """
    try:
        yield
    except InterruptedError:
        raise  # a signal is no trouble with a place
    except (RunError, OSError) as error:
        if not Ledger(store.storage, store.salt).waiting():
            raise
        found = str(error).split("; choose another folder", 1)[0]
        raise RunError(
            f"{found}\nthe request was taken, and is in the ledger: free space or mend the rights, then finish it with "
            f"--run={store.place} --resume"
        ) from error
