"""Messages for an unsuitable environment: encoding, memory, ``-OO``."""

import os
import sys
from collections.abc import Sequence

from recbole_apa.core.errors import SettingsError

_UTF8 = "set PYTHONUTF8=1 (or LC_ALL=C.UTF-8) and run this again"
_TOO_LITTLE = ("can't start new thread", "can't allocate memory", "out of memory", "bad_alloc", "bad allocation")
"""Phrases in the errors of Python's threads, torch on CPU and GPU, and C++."""


def refuse_stripped() -> None:
    """
    Raises:
        SettingsError: Python runs without docstrings, which transformers needs to build its classes.
    """
    if sys.flags.optimize > 1:
        raise SettingsError(
            "found python -OO (or PYTHONOPTIMIZE=2), which removes the docstrings that transformers reads; expected "
            "-O or neither"
        )


def refuse_bytes(words: Sequence[str]) -> None:
    """Reject command-line words that Python could not decode because the environment's encoding is not UTF-8.

    Raises:
        SettingsError: there are some: names would be wrong, and paths could not be recorded.
    """
    encoding = sys.getfilesystemencoding()
    if encoding == "utf-8":
        return
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise SettingsError(f"found {word!a}, which is not valid text in this environment's {encoding}; {_UTF8}")


def refuse_name(path: str | os.PathLike[str]) -> None:
    """
    Raises:
        SettingsError: the environment's encoding cannot represent the path.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise SettingsError(
            f"found {str(path)!a}, which this environment's {error.encoding} cannot represent; {_UTF8}"
        ) from error


def explained(error: BaseException) -> str | None:
    """What an error caused by the environment means, and what to do; None for any other error."""
    if isinstance(error, MemoryError) or _is_too_little(error):
        says = (str(error) or type(error).__name__).splitlines()[0]
        return (
            f"the system is out of memory or threads ({says}); raise its limits (ulimit -v, "
            "ulimit -u, the container's), or ask for less: OMP_NUM_THREADS=1, a smaller train_batch_size or backbone"
        )
    if isinstance(error, UnicodeEncodeError):
        return f"this environment's encoding cannot represent a name ({error}); {_UTF8}"
    return None


def _is_too_little(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _TOO_LITTLE)
