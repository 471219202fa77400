"""What to say if a request was accepted but could not be finished."""

from collections.abc import Iterator
from contextlib import contextmanager

from recbole_apa.core.errors import RunError, TrainingError
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore


@contextmanager
def taken(store: RunStore) -> Iterator[None]:
    """Add to errors of places, disks and training what became of the request.

    Raises:
        RunError: in place of a ``RunError`` or ``OSError`` of a place or a disk.
        TrainingError: in place of another one.
    """
    try:
        yield
    except InterruptedError:
        raise  # a signal is not a problem with a place
    except TrainingError as error:
        if not Ledger(store.storage, store.salt).waiting():
            raise
        raise TrainingError(
            f"{error}\nthe request or addition was accepted and is in the ledger; the old state is in place: once that "
            f"is mended, finish it with --run={store.place} --resume"
        ) from error
    except (RunError, OSError) as error:
        if not _is_of_place(error) or not Ledger(store.storage, store.salt).waiting():
            raise
        found = str(error).split("; choose another folder", 1)[0]
        raise RunError(
            f"{found}\nthe request or addition was accepted and is in the ledger: free space or fix the rights, then "
            f"finish it with --run={store.place} --resume"
        ) from error


def _is_of_place(error: BaseException | None) -> bool:
    """Whether an error, or one that it follows from, is of a place or a disk."""
    if error is None or isinstance(error, OSError) or "SafetensorError" in type(error).__name__:
        return error is not None
    return _is_of_place(error.__cause__)
