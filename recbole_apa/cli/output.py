"""What a command tells: text for people, or with ``--json`` one object for programs, described in ``docs/json.md``."""

import json
import math
import numbers
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout

FORMAT = 1
"""Changes when a field is renamed, removed or given another meaning; fields may be added."""


class Output:
    """Prints text at once, or collects the parts of the object that is printed at the end.

    Args:
        as_json: whether programs read it.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self._parts: dict[str, object] = {}

    def tell(self, text: str | None, **parts: Callable[[], object]) -> None:
        """A result, or a part of one.

        Args:
            text: for people; None if the log has told them.
            parts: give the same for programs, by name.
        """
        if self.as_json:
            self._parts |= {name: part() for name, part in parts.items()}
        elif text is not None:
            print(text)

    def fail(self, name: str, message: str, said: str | None = None) -> None:
        """An error, which is printed to standard error in any case.

        Args:
            name: the error's class.
            said: what is printed; None means both.
        """
        print(f"{name}: {message}" if said is None else said, file=sys.stderr)
        self._parts["error"] = {"type": name, "message": message}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For programs, nothing but the object goes to standard output: whatever else is printed is sent to standard
        error."""
        if not self.as_json:
            yield
            return
        with redirect_stdout(sys.stderr):
            yield

    def finish(self, status: int) -> None:
        """Print the object, after everything else."""
        if self.as_json:
            print(json.dumps(plain({"format": FORMAT, "status": status, **self._parts}), indent=1))


def plain(value: object) -> object:
    """As JSON can hold it: NaN and the infinities are null, paths and the like are text."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value) if math.isfinite(value) else None
    return str(value)
