"""What a run of APANext sees of a dataset: catalogue and sequences, without what was forgotten."""

from dataclasses import dataclass
from functools import cached_property
from logging import getLogger
from pathlib import Path

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.item_text import ItemTexts
from recbole_apa.data.read_data import read_data
from recbole_apa.data.samples import Interactions
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.next_item.added_rows import NONE, AddedRows, joined, without
from recbole_apa.next_item.catalogue import Catalogue
from recbole_apa.next_item.sequences import UserSequence, sequences_of


@dataclass(frozen=True)
class NextItemData:
    """Visible rows, and what is made of them."""

    raw: Interactions
    """All visible rows before any filter: requests are looked up here."""
    catalogue: Catalogue
    sequences: tuple[UserSequence, ...]
    """Of the rows that pass the filters, in order of the users' names."""
    added: AddedRows = NONE
    """Those that joined the run and are visible; ``raw`` and the sequences have them, too."""

    @cached_property
    def of_user(self) -> dict[str, UserSequence]:
        """User -> sequence."""
        return {sequence.user: sequence for sequence in self.sequences}

    def columns(self, sequence: UserSequence) -> list[int]:
        """The columns of a user's items, oldest first."""
        return self.catalogue.columns(sequence.items)


def read_next_data(options: DataOptions, stem: Path, visible: VisibleData, added: AddedRows = NONE) -> NextItemData:
    """Read a dataset's files.

    Args:
        stem: as :func:`~recbole_apa.data.read_data.read_data`.
        added: rows that joined the run; those that are in the files as well count once.

    Raises:
        DataError: files or columns are missing or malformed, pre-split files, filters that count rows, or nobody has
            three items.
    """
    _refuse_options(options)
    loaded = read_data(options.files, options.filters, options.label, stem, visible)
    catalogue = Catalogue.of(ItemTexts(loaded.left.items, options.samples.item_text, options.files))
    raw, all_rows = loaded.raw, loaded.rows
    if len(added):
        added = added.take(np.flatnonzero(visible.visible(added.interactions(options.label))))
        shown = added.interactions(options.label)
        # last, in the order in which they joined, wherever the files have them as well
        raw, all_rows = (joined(without(rows, shown), shown) for rows in (raw, all_rows))
    known = np.array([name in catalogue for name in all_rows.items.names], dtype=bool)[all_rows.items.codes]
    if not known.all():
        getLogger().warning(
            f"{int((~known).sum())} of {len(known)} rows name items without a line in {stem.name}.item and are left out"
        )
    rows = all_rows.take(np.flatnonzero(known))
    sequences = tuple(sequences_of(rows)) if len(rows) else ()
    if not any(sequence.valid for sequence in sequences):
        raise DataError(
            f"{stem}.inter: found no user with three items, expected at least one: the last is for test, the one "
            "before for validation"
        )
    return NextItemData(raw, catalogue, sequences, added)


def _refuse_options(options: DataOptions) -> None:
    """
    Raises:
        DataError: options with which a person's rows would decide what another person's are.
    """
    if options.files.presplit is not None:
        raise DataError("benchmark_filename: APANext splits by user itself (leave-one-out); expected null")
    counting = {
        "user_inter_num_interval": options.filters.user_counts,
        "item_inter_num_interval": options.filters.item_counts,
    }
    given = [name for name, value in counting.items() if value not in (None, "[0,inf)")]
    if given:
        raise DataError(
            f"{', '.join(given)}: APANext takes no filter that counts rows: forgetting one row could bring in or drop "
            "those of anybody; filter the files beforehand"
        )
