"""What the process has of its surroundings, and a sentence for each that does not do: encoding, memory, ``-OO``."""

import os
import sys
from collections.abc import Sequence

from recbole_apa.core.errors import SettingsError

_UTF8 = "set PYTHONUTF8=1 (or LC_ALL=C.UTF-8) and run this again"
_TOO_LITTLE = ("can't start new thread", "can't allocate memory", "out of memory", "bad_alloc", "bad allocation")
"""What Python's threads, torch's CPU and GPU, and C++ say."""


def refuse_stripped() -> None:
    """
    Raises:
        SettingsError: Python runs without docstrings, of which transformers makes its classes.
    """
    if sys.flags.optimize > 1:
        raise SettingsError(
            "found python -OO (or PYTHONOPTIMIZE=2), which removes the docstrings that transformers reads; expected "
            "-O or neither"
        )


def refuse_bytes(words: Sequence[str]) -> None:
    """Words of a command line that Python could not decode, where it was told of another encoding than UTF-8.

    Raises:
        SettingsError: there are some: a name would be another one, a folder could not be written down.
    """
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise SettingsError(f"found {word!a}, which is no text in this environment's {encoding}; {_UTF8}")


def refuse_name(path: str | os.PathLike[str]) -> None:
    """
    Raises:
        SettingsError: a path that this environment's encoding cannot say.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"found {str(path)!a}, which this environment's {error.encoding} cannot say; {_UTF8}"
        ) from error


def explained(error: BaseException) -> str | None:
    """What an error of the surroundings means, and what to do; None for any other error."""
    if isinstance(error, MemoryError) or _is_too_little(error):
        says = (str(error) or type(error).__name__).splitlines()[0]
        return (
            f"the system gives no more memory or threads ({says}); raise its limits (ulimit -v, "
            "ulimit -u, the container's), or ask for less: OMP_NUM_THREADS=1, a smaller train_batch_size or backbone"
        )
    if isinstance(error, UnicodeEncodeError):
        return f"this environment's encoding cannot say a name ({error}); {_UTF8}"
    return None


def _is_too_little(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _TOO_LITTLE)
