"""What a request at once has left for later: adapters and drafts of some shards, and the rows of titles or codes."""

from collections.abc import Mapping
from typing import Any

from recbole_apa.core.errors import RunError
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import NextItemState
from recbole_apa.runs.names import TO_MAKE

SHARDS, ROWS = "shards", "drawn_users"
"""Keys below ``to_make`` in a manifest: shard -> :attr:`~recbole_apa.next_item.state.Learnt.ends`; how many users the
rows have that are missing."""


def is_whole_without(state: NextItemState, settings: NextItemSettings) -> bool:
    """Whether nothing is left for later, if rows of titles or codes were not made."""
    return not state.learnt.adapters or not (state.learnt.ends or settings.title_users)


def with_later(
    manifest: Mapping[str, Any], state: NextItemState, settings: NextItemSettings, is_whole: bool
) -> dict[str, Any]:
    """A manifest's entries, with what this state has left for later in place of what one before had."""
    out = {name: value for name, value in manifest.items() if name != TO_MAKE}
    if is_whole:
        return out
    ends = {str(shard): end for shard, end in sorted(state.learnt.ends.items())}
    return {**out, TO_MAKE: {SHARDS: ends, ROWS: settings.title_users}}


def ends_in(manifest: Mapping[str, Any], settings: NextItemSettings) -> dict[int, int]:
    """Where a manifest says that the training of shards has ended; empty in a run that is whole.

    Raises:
        RunError: it says something else.
    """
    if TO_MAKE not in manifest:
        return {}
    try:
        ends = {int(shard): int(end) for shard, end in manifest[TO_MAKE][SHARDS].items()}
    except (AttributeError, KeyError, TypeError, ValueError):
        ends = {-1: 0}
    shards, cuts = range(settings.n_shards), range(settings.shard_slices)
    if settings.adapters == "none" or any(k not in shards or end not in cuts for k, end in ends.items()):
        raise RunError(
            f"the manifest's entry {TO_MAKE!r} is damaged, expected shards, and slices before which their training has "
            "ended; restore the run folder from a copy"
        )
    return ends


def text_of_later(state: NextItemState, settings: NextItemSettings) -> str:
    """What is left for later, for people."""
    written, ends = "titles" if state.codes is None else "codes", state.learnt.ends
    parts = []
    lacks = ", ".join(f"{shard:03d}" for shard, end in sorted(ends.items()) if not end)
    if lacks:
        parts.append(f"no adapter, and weight 0 in the mixture of adapters: shards {lacks}")
    prefixes = [f"shard {shard:03d} before slice {end + 1}" for shard, end in sorted(ends.items()) if end]
    if prefixes:
        parts.append(f"training has ended early: {', '.join(prefixes)} of {settings.shard_slices}")
    if state.title_weights is None:
        parts.append(f"no adapter is left, so that no {written} are written")
    if settings.title_users:
        parts.append(f"to be made: the rows of {written} of up to {settings.title_users} drawn users")
    return f"after a request at once: {'; '.join(parts)} (--catch_up)"
