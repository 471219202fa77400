"""Standard streams whose failures never abort the work: a closed pipe, or a terminal that lacks a character."""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any


class PatientStream:
    """A text stream that goes silent after its first failure; everything else is passed on to ``stream``.

    Args:
        stream: where to write; characters that its encoding lacks are written as ``\\\\xe9``.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failed: OSError | None = None
        """The first failure: an ``OSError`` such as a closed pipe or a full disk."""
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
        """Discard what is left in the buffer: flushing it at exit would end the process with status 120."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            number = self._stream.fileno()
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)


@contextlib.contextmanager
def patient_streams() -> Iterator[None]:
    """Make standard output and error patient; a full disk is reported on standard error at the end."""
    before = sys.stdout, sys.stderr
    out, err = PatientStream(before[0]), PatientStream(before[1])
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        out.flush()
        if out.failed and not isinstance(out.failed, BrokenPipeError):
            err.write(f"standard output is incomplete: {out.failed}; the work done is not affected\n")
        err.flush()
        sys.stdout, sys.stderr = before
