"""Rows that join a run: which split each belongs to, and which become samples. Decided once, when they are added."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from recbole_apa.core.seeding import draw_hash
from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.filters import Tables, allowed_rows
from recbole_apa.data.index.facts import Addition
from recbole_apa.data.index.order import joined
from recbole_apa.data.index.rows import ALLOWED, DRAWN, NO_ROLE, TEST, TRAIN, VALID, IndexRows
from recbole_apa.data.loaded_rows import Sides, loaded_of, table_of
from recbole_apa.data.recbole_split import SplitSettings, split_rows
from recbole_apa.data.run_data import RunData
from recbole_apa.data.samples import Interactions
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.tokens import Tokens


@dataclass(frozen=True)
class NewRows:
    """Rows that are to join a run, in the order in which they were given; n rows."""

    users: Tokens
    items: Tokens
    times: np.ndarray | None
    """(n,); None if the run has none."""
    values: np.ndarray


def grown_rows(before: RunData, sides: Sides, new: NewRows, addition: Addition) -> IndexRows:
    """All rows of a run and those that join it, with their roles and flags, in order of their places.

    Within the addition, rows that pass the filters are split by time and by user as the run's were; they are training
    rows if the run was not split by ratios. A row is a sample if it has enough history and its hash is drawn by the
    run's own cutoff.

    Args:
        sides: the tables that describe users and items.
        addition: ``rows`` and ``samples`` are not looked at.

    Raises:
        SettingsError: a filter names a column that added rows do not have.
    """
    options, additions = before.options, (*before.additions, addition)
    old = before.index_rows()
    rows = joined(old, _bare(before, sides, new, len(additions)))
    loaded = loaded_of(rows, options, sides, before.raw.plain_ids, filtered=False)
    kept = loaded.left.rows
    mine = kept[kept >= len(old)]
    roles, flags = rows.roles.copy(), rows.flags.copy()
    times = None if rows.times is None else rows.times[mine]
    roles[mine] = roles_of(rows.users.take(mine), times, options.split)
    drawn = _drawn(before)
    for split in ((VALID, TEST), (TRAIN,)):  # what is judged first: it decides the histories of the others
        rows = replace(rows, roles=roles, flags=flags)
        made = RunData.of_noted(loaded, rows, options, before.cutoffs, additions)
        enough = made.windows.n_history >= options.samples.min_history
        asked = np.flatnonzero((kept >= len(old)) & np.isin(roles[kept], split) & enough)
        for part, ids in made.rows.id_chunks(asked):
            chosen = [drawn[SPLITS[roles[kept[row]]]](name) for row, name in zip(part.tolist(), ids, strict=True)]
            flags[kept[part[np.array(chosen, dtype=bool)]]] |= DRAWN
    return replace(rows, flags=flags)


def roles_of(users: Tokens, times: np.ndarray | None, split: SplitSettings | None) -> np.ndarray:
    """The split of each row of an addition, (n,), int8.

    Args:
        users: (n,).
        times: (n,); None uses the order of rows.
        split: the run's; None if it was not split by ratios of RecBole's.
    """
    roles = np.full(len(users), TRAIN, dtype=np.int8)
    if split is not None and split.mode == "RS" and len(users):
        for role, found in enumerate(split_rows(users, times, replace(split, order="TO"))):
            roles[found] = role
    return roles


def _bare(before: RunData, sides: Sides, new: NewRows, number: int) -> IndexRows:
    """The rows without roles; those whose own values pass the filters are marked."""
    options, n = before.options, len(new.values)
    raw = Interactions(new.users, new.items, options.label.labels(new.values), new.times, new.values)
    allowed = np.ones(n, dtype=bool)
    if options.files.presplit is None:
        allowed = allowed_rows(Tables(table_of(raw, options), *sides), options.filters)
    flags = np.where(allowed, ALLOWED, 0).astype(np.uint8)
    places = np.arange(n) + 1 + int(before.notes.places.max(initial=-1))
    roles, since = np.full(n, NO_ROLE, dtype=np.int8), np.full(n, number, dtype=np.int32)
    return IndexRows(new.users, new.items, new.times, new.values, places, roles, flags, since)


def _drawn(before: RunData) -> Mapping[str, Callable[[str], bool]]:
    """Split -> whether the run draws a sample id."""
    seed = before.options.samples.draw_seed
    return {name: _below(_cutoff(before, before.options, name), seed) for name in SPLITS}


def _below(cutoff: str | None, seed: int | None) -> Callable[[str], bool]:
    return lambda name: cutoff is None or draw_hash(name, seed) <= cutoff


def _cutoff(before: RunData, options: DataOptions, split: str) -> str | None:
    """The cutoff of a split's draw. Runs from before format 3 keep none: theirs is the highest hash drawn."""
    cutoff, size = before.cutoffs[split], getattr(options.samples, f"{split}_samples")
    if cutoff is None and before.raw.plain_ids and size is not None:
        return max((draw_hash(s.sample_id) for s in before.samples[split]), default="")
    return cutoff
