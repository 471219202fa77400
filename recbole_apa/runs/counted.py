"""Whether the lines of a ledger are those that a manifest counts and names."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from recbole_apa.runs.ledger_lines import REQUEST
from recbole_apa.runs.manifest import Manifest

if TYPE_CHECKING:
    from recbole_apa.runs.ledger import Entry


def n_forgotten(entries: "Iterable[Entry]") -> int:
    """How many interactions requests removed, a row as often as it was."""
    return sum(len(e.content["interactions"]) for e in entries if e.kind == REQUEST)


def forgets_as_told(manifest: Manifest, requests: "Sequence[Entry]") -> bool:
    """Whether requests removed as much as the manifest says; in runs up to format 5, the very rows that it lists."""
    told = manifest["forgotten"]
    if isinstance(told, list):
        return {d for e in requests for d in e.content["interactions"]} == set(told)
    return n_forgotten(requests) == told


def adds_up(manifest: Manifest, reached: "Sequence[Entry]") -> bool:
    """Whether the requests and additions that were carried out are those that the manifest says led to its state.

    From run format 6 on it names their lines by digests, which cover those of the forgotten rows.
    """
    named, found = set(manifest.get("served_requests", [])), {e.digest for e in reached}
    is_old = isinstance(manifest["forgotten"], list)
    return (is_old or named == found) and forgets_as_told(manifest, [e for e in reached if e.kind == REQUEST])
