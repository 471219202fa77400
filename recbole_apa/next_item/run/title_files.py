"""Adapters, drafts and restart points of all shards as files of a state, and back."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import RunError
from recbole_apa.next_item.generation.draft_students import EXIT_MAP
from recbole_apa.next_item.run.adapter_files import (
    ADAPTERS,
    adapter_name,
    exit_map_within,
    read_adapter,
    write_adapter,
)
from recbole_apa.next_item.run.draft_files import draft_name, read_draft, write_draft
from recbole_apa.next_item.run.point_files import point_name, read_point, write_point
from recbole_apa.next_item.run.store import DRAFTS
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import Learnt
from recbole_apa.next_item.title_adapters import TitleAdapter
from recbole_apa.next_item.title_drafts import TitleDraft, lineage_of_draft
from recbole_apa.runs.names import POINTS

TOLD = "adapters"
"""The key of their lineages in ``lineage.json``: null for a shard without one."""
_FOLDERS = (ADAPTERS, DRAFTS, POINTS)


def write_titles(folder: Path, learnt: Learnt) -> dict[str, object]:
    """Write what is there.

    Returns:
        what ``lineage.json`` says of it.

    Raises:
        RunError: a file cannot be written.
    """
    for k, adapter in enumerate(learnt.adapters):
        if adapter is not None:
            write_adapter(folder / adapter_name(k), adapter)
    for k, draft in enumerate(learnt.drafts):
        if draft is not None:
            write_draft(folder / draft_name(k), draft)
    for k, points in enumerate(learnt.points):
        for cut, point in enumerate(points, start=1):
            write_point(folder / point_name(k, cut), point)
    lineages = [None if adapter is None else adapter.lineage for adapter in learnt.adapters]
    return {TOLD: lineages} if lineages else {}


def with_titles(
    learnt: Learnt, folder: Path, settings: NextItemSettings, told: Mapping[str, Any], ends: Mapping[int, int]
) -> Learnt:
    """With what :func:`write_titles` wrote.

    Args:
        told: what ``lineage.json`` says.
        ends: as :attr:`~recbole_apa.next_item.state.Learnt.ends`, of the manifest.

    Raises:
        RunError: a file is missing or damaged, or there is one that the run is not to have.
        ValueError: files and manifest do not fit together.
    """
    adapters = _adapters(folder, settings, told, ends)
    whole = {k: adapter for k, adapter in adapters.items() if adapter is not None and k not in ends}
    drafts = {k: _draft(folder, k, adapter, settings) for k, adapter in whole.items()}
    cuts = {k: range(1, 1 + ends.get(k, settings.shard_slices - 1)) for k in adapters}
    known = {adapter_name(k) for k, adapter in adapters.items() if adapter is not None}
    known |= {draft_name(k) for k in drafts} | {point_name(k, cut) for k in cuts for cut in cuts[k]}
    _refuse_more(folder, known)
    return replace(
        learnt,
        adapters=tuple(adapters.values()),
        drafts=tuple(drafts.get(k) for k in adapters),
        points=tuple(tuple(read_point(folder / point_name(k, cut)) for cut in cuts[k]) for k in adapters),
        ends=dict(ends),
    )


def _refuse_more(folder: Path, known: set[str]) -> None:
    """Refuse a file that no shard is to have: what a request has dropped may have been put back."""
    paths = [path for name in _FOLDERS for path in sorted((folder / name).rglob("*")) if path.is_file()]
    for path in paths:
        if path.relative_to(folder).as_posix() not in known:
            raise RunError(
                f"{path} is an adapter, a draft or a restart point that the run is not to have (what a request has "
                "dropped was put back?); restore the run folder from a copy"
            )


def _adapters(
    folder: Path, settings: NextItemSettings, told: Mapping[str, Any], ends: Mapping[int, int]
) -> dict[int, TitleAdapter | None]:
    if settings.adapters == "none":
        return {}
    lineages = dict(enumerate(told[TOLD]))
    if len(lineages) != settings.n_shards:
        raise ValueError(f"{len(lineages)} adapters, expected {settings.n_shards}")
    if {k for k, lineage in lineages.items() if lineage is None} != {k for k, end in ends.items() if not end}:
        raise ValueError("other adapters are missing than the manifest says")
    return {
        k: None if lineage is None else read_adapter(folder / adapter_name(k), str(lineage))
        for k, lineage in lineages.items()
    }


def _draft(folder: Path, shard: int, adapter: TitleAdapter, settings: NextItemSettings) -> TitleDraft | None:
    if (folder / draft_name(shard)).is_file():
        return read_draft(folder / draft_name(shard), settings.draft_kind)
    within = exit_map_within(folder / adapter_name(shard))
    return None if within is None else TitleDraft({EXIT_MAP: within}, lineage_of_draft(shard, adapter, settings))
