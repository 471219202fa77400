"""Standard output and error that never undo what was done: a reader may have gone, a terminal lack a letter."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


class PatientStream:
    """A text stream that goes silent at its first failure, and passes everything else on.

    Args:
        stream: the one to write to; letters that its encoding lacks are written as ``\\\\xe9``.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failed: OSError | None = None
        """What ended it; an ``OSError`` of a reader that has gone, of a full disk."""
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """As of any stream."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """As of any stream."""
        self._attempt(self._stream.flush)

    def _attempt(self, action: Callable[[], object]) -> None:
        if self.failed:
            return
        try:
            action()
        except OSError as error:
            self.failed = error
            self._write_nowhere()

    def _write_nowhere(self) -> None:
        """What is left in the buffer goes there when the process ends; else that would end it with status 120."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            number = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


@contextlib.contextmanager
def patient_streams() -> Iterator[None]:
    """Standard output and error are patient meanwhile; a full disk is told of on standard error at the end."""
    before = sys.stdout, sys.stderr
    out, err = PatientStream(before[0]), PatientStream(before[1])
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        out.flush()
        if out.failed and not isinstance(out.failed, BrokenPipeError):
            err.write(f"standard output could not be written to the end: {out.failed}; what was done is done\n")
        err.flush()
        sys.stdout, sys.stderr = before
