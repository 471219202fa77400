"""What to say if a request was accepted but could not be finished."""

from collections.abc import Iterator
from contextlib import contextmanager

from recbole_apa.core.errors import RunError
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore


@contextmanager
def taken(store: RunStore) -> Iterator[None]:
    """Add to errors of places and disks what became of the request.

    Raises:
        RunError: in place of such a ``RunError`` or ``OSError``.
    """
    try:
        yield
    except InterruptedError:
        raise  # a signal is not a problem with a place
    except (RunError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        is_of_place = isinstance(cause, OSError) or "SafetensorError" in type(cause).__name__
        if not is_of_place or not Ledger(store.storage, store.salt).waiting():
            raise
        found = str(error).split("; choose another folder", 1)[0]
        raise RunError(
            f"{found}\nthe request or addition was accepted and is in the ledger: free space or fix the rights, then "
            f"finish it with --run={store.place} --resume"
        ) from error
