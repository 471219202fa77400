"""Write, read and check the lines of ``ledger.jsonl``."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from recbole_apa.core.files.plain import parse_json
from recbole_apa.core.seeding import digest_of
from recbole_apa.runs.manifest import is_safe_name

REQUEST, ADDED, DONE, KEYED = "request", "added", "done", "keyed"
"""Kinds of line: a request to forget; rows that join the run; that some of these were carried out; that the digests in
earlier lines were keyed later."""
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
    served, additions, certificates = value.get("requests"), value.get("additions", []), value.get("certificates", {})
    return (
        isinstance(served, list)
        and isinstance(additions, list)
        and bool(served or additions)
        and all(type(n) is int and n > 0 for n in [*served, *additions])
        and isinstance(certificates, dict)
        and all("/" not in name and is_safe_name(name) and isinstance(d, str) for name, d in certificates.items())
        and isinstance(value.get("manifest", ""), str)
    )


def carried_out(value: Mapping[str, Any]) -> list[int]:
    """The positions of the requests and additions that a line of the kind ``done`` closes."""
    return [*value["requests"], *value.get("additions", [])]


@dataclass(frozen=True)
class ReadLine:
    """A line of a ledger. It is kept for the next reading: its value is not to be changed."""

    value: dict[str, Any]
    digest: str
    """SHA-256."""
    is_checked: bool
    """Whether it has a digest of itself."""
    as_written: bool
    """Whether that digest, and every byte, is what this program would write; true without one."""

    def is_whole(self, checked: bool) -> bool:
        """Whether it is as it was written; the last line is not protected by the chain.

        Args:
            checked: whether the line before it has a digest of itself: then this one needs one, too.
        """
        return self.as_written if self.is_checked else not checked


@lru_cache(maxsize=1 << 16)
def read_line(line: bytes) -> ReadLine | None:
    """A line; None if it is not one of a ledger. A request reads all lines several times, and a stream of requests for
    each: what was made of the same bytes is kept."""
    value = parse_line(line)
    if value is None:
        return None
    is_checked = CHECK in value
    as_written = not is_checked or bool(value[CHECK] == check_of(value) and line_of(value) == line)
    return ReadLine(value, hashlib.sha256(line).hexdigest(), is_checked, as_written)


def check_of(value: Mapping[str, object]) -> str:
    """A line's digest of itself."""
    return digest_of("line", json.dumps({k: v for k, v in value.items() if k != CHECK}, sort_keys=True)).hex()


def line_of(value: Mapping[str, object]) -> bytes:
    """The line as it is written."""
    return json.dumps(value, sort_keys=True).encode() + b"\n"


_ENTRIES: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    REQUEST: _is_request,
    ADDED: _is_added,
    DONE: _is_done,
    KEYED: lambda value: isinstance(value.get("head"), str),
}
