"""What is left on disk, so that two ends can be compared. Read without the package's own code."""

import hashlib
import json
from pathlib import Path
from typing import Any

TIMES = frozenset(
    {"time", "completed", "previous", "digest", "check", "manifest", "salt", "outside", "removed_outside", "boards"}
)
"""Keys that hold a time, what is chained to one, where the logs of that second lie, or the run's salt."""
NAMES_ONLY = frozenset({"files", "certificates"})
"""Tables of digests: the files stand beside them, but for those that hold times."""
COUNTS_ONLY = frozenset({"served_requests"})
SALTED = frozenset({"interactions", "hides", "forgotten", "names", "dataset", "dataset_sums", "identity_digest", "key"})
"""Digests with the run's salt or key: counted where two runs have their own."""
PAGES = frozenset({".html"})
"""Pages repeat what the records beside them say, times among it."""
PASSING = frozenset({".lock"})
MARKS = frozenset({".recbole-apa-run"})
"""Hold nothing but a digest of the salt."""


def state_of(folder: Path, own_salt: bool) -> dict[str, Any]:
    """Every file of a folder, hidden ones too: its digest, or what it says but for :data:`TIMES`.

    Args:
        own_salt: whether what is compared may have other salts.
    """
    return {
        path.relative_to(folder).as_posix(): _content(path, own_salt)
        for path in sorted(folder.rglob("*"))
        if path.name not in PASSING and (path.is_file() or path.is_symlink() or not any(path.iterdir()))
    }


def difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    """The first names in which two states differ; "" where they are the same."""
    names = sorted(n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n))
    told = []
    for name in names[:4]:
        what = "is missing" if name not in found else "should not be there" if name not in expected else "differs"
        told.append(f"{name} {what}")
    return "; ".join(told)


def _content(path: Path, own_salt: bool) -> Any:
    if path.is_dir():
        return "an empty folder"
    data = path.read_bytes()
    if path.name in MARKS and own_salt:
        return f"a mark of {len(data)} bytes"
    if path.suffix in PAGES and path.parent.name != "figures":
        return "a page" if data.rstrip().endswith(b"</html>") else "half a page"
    try:
        if path.suffix == ".json":
            return _plain(json.loads(data), own_salt)
        if path.suffix == ".jsonl":
            return [_plain(json.loads(line), own_salt) for line in data.splitlines()]
    except ValueError:
        return f"damaged: {hashlib.sha256(data).hexdigest()}"
    return hashlib.sha256(data).hexdigest()


def _plain(value: Any, own_salt: bool) -> Any:
    if isinstance(value, dict):
        return {k: _told(k, v, own_salt) for k, v in value.items() if k not in TIMES and not _is_measured(k)}
    if isinstance(value, list):
        return [_plain(v, own_salt) for v in value]
    return value


def _told(key: str, value: Any, own_salt: bool) -> Any:
    if key in NAMES_ONLY and isinstance(value, dict):
        return sorted(value)
    if key in COUNTS_ONLY or (own_salt and key in SALTED):
        if isinstance(value, int):
            return value  # a count says the same under every salt
        return len(value) if isinstance(value, (list, dict)) else type(value).__name__
    return _plain(value, own_salt)


def _is_measured(key: str) -> bool:
    return key.endswith(("seconds", "_bytes"))
