"""Write, read and check the lines of ``ledger.jsonl``."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from recbole_apa.core.files.plain import parse_json
from recbole_apa.core.seeding import digest_of
from recbole_apa.runs.manifest import is_safe_name

REQUEST, ADDED, CAUGHT_UP, DONE, KEYED = "request", "added", "caught_up", "done", "keyed"
"""Kinds of line: a request to forget; rows that join the run; that what requests at once had left was trained; that
some of these were carried out; that the digests in earlier lines were keyed later."""
ACTS = (REQUEST, ADDED, CAUGHT_UP)
"""Kinds of line that lead to another state."""
CHECK = "check"
"""Key of a line's digest of itself; lines of older versions have none."""


def parse_line(line: bytes) -> dict[str, Any] | None:
    """A line; None if it is not one of a ledger."""
    try:
        value = parse_json(line)
    except ValueError:
        return None
    if not isinstance(value, dict) or not isinstance(value.get("time"), str):
        return None
    holds = _ENTRIES.get(str(value.get("kind")))
    return value if holds and holds(value) else None


def _is_request(value: Mapping[str, object]) -> bool:
    lists = [value.get("interactions"), value.get("hides", []), value.get("names", [])]
    return all(isinstance(v, list) and all(isinstance(name, str) for name in v) for v in lists)


def _is_added(value: Mapping[str, object]) -> bool:
    n_rows, readmits = value.get("n_rows"), value.get("readmits")
    return (
        type(n_rows) is int
        and n_rows > 0
        and isinstance(readmits, list)
        and all(isinstance(text, str) for text in [value.get("rows"), value.get("key"), *readmits])
    )


def _is_done(value: Mapping[str, object]) -> bool:
    numbers = [value.get("requests"), value.get("additions", []), value.get("caught_up", [])]
    certificates, n_slices = value.get("certificates", {}), value.get("slices_trained", 0)
    return (
        all(isinstance(lines, list) and all(type(n) is int and n > 0 for n in lines) for lines in numbers)
        and any(numbers)
        and type(n_slices) is int
        and n_slices >= 0
        and isinstance(certificates, dict)
        and all("/" not in name and is_safe_name(name) and isinstance(d, str) for name, d in certificates.items())
        and isinstance(value.get("manifest", ""), str)
    )


def carried_out(value: Mapping[str, Any]) -> list[int]:
    """The positions of the lines that one of the kind ``done`` closes."""
    return [*value["requests"], *value.get("additions", []), *value.get("caught_up", [])]


def is_as_written(value: Mapping[str, object], line: bytes, checked: bool) -> bool:
    """Whether a line's digest of itself, and every byte, is what this program would write; the last line is not
    protected by the chain.

    Args:
        value: what was read of it.
        checked: whether the line before it has such a digest: then this one needs one, too.
    """
    return (value[CHECK] == check_of(value) and line_of(value) == line) if CHECK in value else not checked


def check_of(value: Mapping[str, object]) -> str:
    """A line's digest of itself."""
    return digest_of("line", json.dumps({k: v for k, v in value.items() if k != CHECK}, sort_keys=True)).hex()


def line_of(value: Mapping[str, object]) -> bytes:
    """The line as it is written."""
    return json.dumps(value, sort_keys=True).encode() + b"\n"


class Chain:
    """Lines that follow each other."""

    def __init__(self, origin: str) -> None:
        self._previous = origin
        self.lines: list[str] = []

    def add(self, values: Mapping[str, object]) -> str:
        """Append a line; returns its digest."""
        value: dict[str, Any] = {**values, "position": len(self.lines) + 1, "previous": self._previous}
        line = line_of({**value, CHECK: check_of(value)})
        self.lines.append(line.decode())
        self._previous = hashlib.sha256(line).hexdigest()
        return self._previous


_ENTRIES: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    REQUEST: _is_request,
    ADDED: _is_added,
    CAUGHT_UP: lambda value: isinstance(value.get("key"), str),
    DONE: _is_done,
    KEYED: lambda value: isinstance(value.get("head"), str),
}
