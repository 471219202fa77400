"""What a run sees of a dataset, and the samples made of it; independent of RecBole and of torch.

Made from files when a run is trained (:meth:`RunData.of_files`), and later from the rows in the run's index
(:meth:`RunData.of_index`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from logging import getLogger

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.dataset_digest import DatasetDigest, dataset_digest, users_digest
from recbole_apa.data.draw import below, draw_rows, further_rows
from recbole_apa.data.grown_windows import GrownWindows
from recbole_apa.data.index.additions import added_at, pieces_of
from recbole_apa.data.index.facts import Addition
from recbole_apa.data.index.order import by_place
from recbole_apa.data.index.rows import ALLOWED, DRAWN, KEPT, NO_ROLE, TEST, TRAIN, VALID, IndexedRows, IndexRows
from recbole_apa.data.item_text import ItemTexts
from recbole_apa.data.loaded_rows import Sides, loaded_of
from recbole_apa.data.read_data import Loaded
from recbole_apa.data.recbole_split import split_rows, warn_of_order
from recbole_apa.data.row_blocks import row_numbers
from recbole_apa.data.samples import Interactions, LabelledItems, Sample, Windows, make_sample, order_windows
from recbole_apa.data.splits import EVIDENCE, SPLITS, draw_split, tallrec_split
from recbole_apa.data.visible_data import VisibleData


@dataclass(frozen=True)
class RowNotes:
    """What was settled about each of n rows; columns of :class:`~recbole_apa.data.index.rows.IndexRows`."""

    places: np.ndarray
    roles: np.ndarray
    allowed: np.ndarray
    """Whether the flag ``ALLOWED`` is set, bool, (n,)."""
    since: np.ndarray


@dataclass(frozen=True)
class RunData:
    """Visible rows, and what is made of them."""

    options: DataOptions
    raw: Interactions
    """All visible rows before any filter, (n,), in the files' order."""
    notes: RowNotes
    """About each of ``raw``."""
    kept: np.ndarray
    """The number among ``raw`` of each row that passes the filters, (m,), in the order that filters leave."""
    rows: Interactions
    """Those rows, (m,): samples are made from them."""
    windows: Windows
    """Their order by user and time."""
    targets: Mapping[str, np.ndarray]
    """Split -> the number among ``rows`` of each sample's target, in the order of the windows."""
    cutoffs: Mapping[str, str | None]
    """The hash cutoffs of the draw, by split; ``evidence``: of :attr:`evidence_rows`, missing if there are none."""
    train_rows: LabelledItems
    """Item and label of every training target, drawn or not (for the trivial rules)."""
    texts: ItemTexts
    additions: tuple[Addition, ...] = ()
    """What ``notes.since`` counts."""

    @classmethod
    def of_files(cls, loaded: Loaded, options: DataOptions, visible_data: VisibleData) -> "RunData":
        """From what was read of the files; split and draw are made anew, unless the visible data says which samples
        the run has.

        Raises:
            DataError: a split has no samples, or item texts name a column that does not exist.
        """
        texts = ItemTexts(loaded.left.items, options.samples.item_text, options.files)
        rows, kept = loaded.rows, loaded.left.rows
        windows = order_windows(rows.users, rows.times)
        candidates = _candidates(options, rows, windows, loaded.part_of)
        targets, cutoffs = _targets(options, rows, windows, candidates, visible_data)
        if visible_data.roles is not None and not len(targets["train"]):
            raise DataError(
                f"{loaded.inter.path.parent} holds none of the run's {len(visible_data.roles['train'])} training "
                "samples; set --data_path to the data that the run was trained on"
            )
        roles = np.full(len(loaded.raw), NO_ROLE, dtype=np.int8)
        for found in (candidates, targets):  # a sample keeps its split even if the boundaries have moved
            for role, name in enumerate(SPLITS):
                roles[kept[found[name]]] = role
        known = candidates["train"][windows.n_before[candidates["train"]] >= options.samples.min_history]
        judged = np.concatenate([targets["valid"], targets["test"]])
        known = known[~np.isin(known, judged)]
        trained = LabelledItems(rows.items.take(known), rows.labels[known])
        # a new training counts from 0, as it would on a file without the hidden rows
        places = row_numbers(len(loaded.raw)) if visible_data.roles is None else np.flatnonzero(loaded.shown)
        since = np.zeros(len(loaded.raw), dtype=np.int32)
        notes = RowNotes(places, roles, loaded.left.allowed, since)
        return cls(options, loaded.raw, notes, kept, rows, windows, targets, cutoffs, trained, texts)

    @classmethod
    def of_index(
        cls,
        indexed: IndexedRows,
        options: DataOptions,
        sides: Sides,
        cutoffs: Mapping[str, str | None],
        plain_ids: bool = False,
    ) -> "RunData":
        """From rows of a run's index, in any order.

        Splits are those noted with the rows. A row that was drawn stays a sample while it passes the filters and has
        enough history.

        Args:
            sides: the tables that describe users and items.
            plain_ids: :attr:`Interactions.plain_ids`.

        Raises:
            DataError: there is no row, or none passes the filters, or item texts name a column that does not exist.
        """
        if not len(indexed.rows):
            raise DataError("no interaction is left: expected at least one row in the run's index")
        rows = by_place(indexed.rows)
        loaded = loaded_of(rows, options, sides, plain_ids, indexed.filtered)
        return cls.of_noted(loaded, rows, options, cutoffs, indexed.additions)

    @classmethod
    def of_noted(
        cls,
        loaded: Loaded,
        index: IndexRows,
        options: DataOptions,
        cutoffs: Mapping[str, str | None],
        additions: tuple[Addition, ...] = (),
    ) -> "RunData":
        """As :meth:`of_index`.

        Args:
            loaded: the same rows, as :func:`loaded_of` gives them.
            index: in order of their places.
        """
        raw, left, rows, kept = loaded.raw, loaded.left, loaded.rows, loaded.left.rows
        windows, least = order_windows(rows.users, rows.times), options.samples.min_history
        roles, drawn = index.roles[kept], index.flags[kept] & DRAWN != 0
        pieces = pieces_of(index.since[kept], additions)
        if pieces.any():
            passing = (pieces > 0) & (roles == TRAIN)
            judged = drawn & np.isin(roles, (VALID, TEST)) & (windows.n_before >= least)
            windows = GrownWindows(windows.order, windows.place, windows.n_before, passing, judged)
        enough = windows.n_history >= least
        drawn &= enough
        found = {name: drawn & (roles == role) for role, name in enumerate(SPLITS)}
        targets = {name: windows.order[mask[windows.order]] for name, mask in found.items()}
        known = np.flatnonzero((roles == TRAIN) & enough)
        trained = LabelledItems(rows.items.take(known), rows.labels[known])
        texts = ItemTexts(left.items, options.samples.item_text, options.files)
        notes = RowNotes(index.places, index.roles, left.allowed, index.since)
        return cls(options, raw, notes, kept, rows, windows, targets, dict(cutoffs), trained, texts, additions)

    def with_additions(self, since: np.ndarray, additions: tuple[Addition, ...]) -> "RunData":
        """The same, with what is known of rows that were added.

        Args:
            since: the number of the addition that brought each of ``raw``, (n,).
        """
        return replace(self, notes=replace(self.notes, since=since), additions=additions)

    @cached_property
    def evidence_rows(self) -> np.ndarray:
        """Numbers among ``rows`` of what evidence is fitted on beside the validation samples, ascending: other rows of
        the validation period of the same users, as far as they fall below the cutoff of their draw. Without a row, no
        other comes in, so long as the samples are the same."""
        if EVIDENCE not in self.cutoffs:
            return np.zeros(0, dtype=np.int64)
        enough = self.windows.n_history >= self.options.samples.min_history
        found = np.flatnonzero((self.notes.roles[self.kept] == VALID) & enough)
        further = further_rows(self.rows, found, self.targets[SPLITS[1]])
        return below(self.rows, further, self.cutoffs[EVIDENCE], self.options.samples.draw_seed)

    def rows_of(self, name: str) -> np.ndarray:
        """Numbers among ``rows``: the targets of a split, or with ``evidence`` :attr:`evidence_rows`."""
        return self.evidence_rows if name == EVIDENCE else self.targets[name]

    @cached_property
    def added_at(self) -> np.ndarray | None:
        """Of ``raw``: as :func:`~recbole_apa.data.index.additions.added_at`."""
        return added_at(self.notes.since, self.additions)

    @cached_property
    def pieces(self) -> dict[str, int]:
        """Training sample -> number of the piece of its shard that it is trained in, for those above 0."""
        pieces = pieces_of(self.notes.since[self.kept[self.targets[SPLITS[0]]]], self.additions).tolist()
        return {s.sample_id: piece for s, piece in zip(self.samples[SPLITS[0]], pieces, strict=True) if piece}

    @cached_property
    def samples(self) -> dict[str, list[Sample]]:
        """The samples by split, in the order of ``targets``."""
        length = self.options.samples.history_length
        return {
            name: [make_sample(self.rows, self.windows, row, length) for row in rows.tolist()]
            for name, rows in self.targets.items()
        }

    def digest(self, secret: bytes) -> DatasetDigest:
        """The digest of everything visible.

        Args:
            secret: the key of the run's digests.
        """
        return dataset_digest(self.rows, self.windows, self.texts.text_of, secret)

    def users_digest(self, secret: bytes) -> DatasetDigest:
        """The part of :meth:`digest` that comes from users."""
        return users_digest(self.rows, self.windows, secret)

    def index_rows(self) -> IndexRows:
        """All visible rows before any filter, in the files' order, as an index keeps them; names that no row uses are
        left out."""
        raw, notes = self.raw, self.notes
        assert raw.values is not None
        flags = notes.allowed.astype(np.uint8) * np.uint8(ALLOWED)
        flags[self.kept] |= KEPT
        for rows in self.targets.values():
            flags[self.kept[rows]] |= DRAWN
        users, items = raw.users.compact(), raw.items.compact()
        return IndexRows(users, items, raw.times, raw.values, notes.places, notes.roles, flags, notes.since)


def _candidates(
    options: DataOptions, rows: Interactions, windows: Windows, part_of: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Row numbers of each split, drawn or not."""
    if part_of is not None:
        warn_of_order(part_of, rows.users, windows)
        return {name: np.flatnonzero(part_of == place) for place, name in enumerate(SPLITS)}
    if options.split is None:
        return tallrec_split(windows)
    if options.split.order != "TO":
        getLogger().warning("eval_args.order is not TO: histories of training samples may contain test targets")
    return dict(zip(SPLITS, split_rows(rows.users, rows.times, options.split, windows), strict=True))


def _targets(
    options: DataOptions,
    rows: Interactions,
    windows: Windows,
    candidates: dict[str, np.ndarray],
    visible_data: VisibleData,
) -> tuple[dict[str, np.ndarray], dict[str, str | None]]:
    """Row numbers of each split's samples, and the cutoffs of the draw."""
    settings = options.samples
    if visible_data.roles is not None:
        return visible_data.targets(rows, windows, settings.min_history), dict(visible_data.cutoffs)
    sizes = {name: getattr(settings, f"{name}_samples") for name in SPLITS}
    split = draw_split(candidates, rows, windows, settings.min_history, sizes, settings.draw_seed)
    if settings.evidence_samples == 0:
        return split.rows, split.cutoffs
    enough = candidates[SPLITS[1]][windows.n_before[candidates[SPLITS[1]]] >= settings.min_history]
    further = further_rows(rows, enough, split.rows[SPLITS[1]])
    cutoff = draw_rows(rows, further, settings.evidence_samples, settings.draw_seed)[1]
    return split.rows, {**split.cutoffs, EVIDENCE: cutoff}
