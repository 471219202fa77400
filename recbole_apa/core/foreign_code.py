"""What to say of errors and objects that come from code that is not ours."""

import sys
import traceback
from pathlib import Path


def error_text(error: BaseException, file: str | None = None) -> str:
    """``ValueError: no rows (my_measure.py, line 7)``.

    Args:
        file: the foreign file, whose innermost line is named; None names the innermost line of any file.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename).name}, line {error.lineno})"
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
    own = [f for f in frames if file and Path(f.filename) == Path(file)]
    where = f" ({Path((own or frames)[-1].filename).name}, line {(own or frames)[-1].lineno})" if own or frames else ""
    return f"{type(error).__name__}{f': {error}' if str(error) else ''}{where}"


def shown(value: object) -> str:
    """``repr`` of a foreign object, cut to a length that a message can hold."""
    try:
        text = repr(value)
    except Exception:  # a foreign class may raise anything; Python does for very long numbers
        return f"something of type {type(value).__name__}"
    return f"{text[:60]}..." if len(text) > 60 else text


def file_of(cls: type) -> str | None:
    """The file that a class was defined in; None if there is none, as in a notebook."""
    return getattr(sys.modules.get(cls.__module__), "__file__", None)
