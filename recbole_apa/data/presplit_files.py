"""The samples as pre-split RecBole files, so that every RecBole model trains and is evaluated on exactly these rows."""

import codecs
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recbole_apa.core.errors import DataError
from recbole_apa.core.files.whole import write_whole
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS

if TYPE_CHECKING:
    from recbole.config import Config

LIKES = "train_likes"
"""The training rows with label 1, for models that learn from likes only."""
SEQUENCES = "train_sequences"
"""Those of them that have a history, for models of sequences."""
LABELLED_SEQUENCES = "train_labelled_sequences"
"""The training rows of either label that have a history, for models of sequences that learn from labels."""
VALID_SEQUENCES = "valid_sequences"
"""The validation rows that have a history."""


class PresplitRow(NamedTuple):
    """One line of such a file."""

    user_id: str
    item_id: str
    label: int
    items: Sequence[str]
    """In the history, oldest first."""

    @classmethod
    def of(cls, sample: Sample) -> "PresplitRow":
        """A sample's target, and the items of its history."""
        return cls(sample.user_id, sample.item_id, sample.label, [entry.item_id for entry in sample.history])


AnyRows = Sequence[Sample] | Sequence[PresplitRow]
"""What such a file is written from."""


@dataclass(frozen=True)
class Layout:
    """How the dataset's own files are written. The pre-split ones use the same format, because item and user files are
    copied unchanged."""

    user: str = "user_id"
    """The user column."""
    item: str = "item_id"
    label: str = "label"
    list_suffix: str = "_list"
    field_separator: str = "\t"
    seq_separator: str = " "
    encoding: str | None = None

    @classmethod
    def of(cls, config: "Config") -> "Layout":
        """The layout given by a RecBole ``Config``."""
        names = ("USER_ID_FIELD", "ITEM_ID_FIELD", "LABEL_FIELD", "LIST_SUFFIX", "field_separator", "seq_separator")
        return cls(*(config[name] for name in (*names, "encoding")))

    @property
    def item_list(self) -> str:
        """The history column, under the name that RecBole's sequential models expect."""
        return self.item + self.list_suffix

    def check_items(self, names: Iterable[str]) -> None:
        """See that items can be told apart in a history.

        Raises:
            DataError: a name contains ``seq_separator``.
        """
        wrong = [name for name in map(str, names) if self.seq_separator in name]
        if wrong:
            raise DataError(
                f"{len(wrong)} item ids such as {wrong[0]!r} contain {self.seq_separator!r}, which separates the items "
                "of a history; choose another separator with --seq_separator"
            )

    def options(self) -> dict[str, object]:
        """RecBole options for reading such files."""
        return {
            "USER_ID_FIELD": self.user,
            "ITEM_ID_FIELD": self.item,
            "LABEL_FIELD": self.label,
            "LIST_SUFFIX": self.list_suffix,
            "field_separator": self.field_separator,
            "seq_separator": self.seq_separator,
            "encoding": self.encoding,
        }


def write_presplit(
    folder: Path,
    name: str,
    splits: Mapping[str, AnyRows],
    source: Path,
    layout: Layout | None = None,
) -> None:
    """Write ``name.train.inter``, ``name.train_likes.inter``, ``name.train_sequences.inter``,
    ``name.train_labelled_sequences.inter``, ``name.valid.inter``, ``name.valid_sequences.inter``, ``name.test.inter``
    (RecBole's ``benchmark_filename``) in the order of the rows, and copy the item and user files of ``source``.

    Columns: user, item, label, and the items in the history that APA's prompt shows, oldest first.

    Raises:
        DataError: an id contains the column separator.
        RunError: the folder cannot be written.
    """
    layout = layout or Layout()
    parts = {
        part: [r if isinstance(r, PresplitRow) else PresplitRow.of(r) for r in given] for part, given in splits.items()
    }
    parts[LIKES] = [row for row in parts["train"] if row.label]
    parts[SEQUENCES] = [row for row in parts[LIKES] if row.items]
    parts[LABELLED_SEQUENCES] = [row for row in parts["train"] if row.items]
    parts[VALID_SEQUENCES] = [row for row in parts["valid"] if row.items]
    types = {layout.user: "token", layout.item: "token", layout.label: "float", layout.item_list: "token_seq"}
    head = layout.field_separator.join(f"{column}:{kind}" for column, kind in types.items())
    for part in (*SPLITS, LIKES, SEQUENCES, LABELLED_SEQUENCES, VALID_SEQUENCES):
        lines = [head, *(_line(row, layout) for row in parts[part])]
        content = "".join(f"{line}\n" for line in lines).encode(layout.encoding or "utf-8")
        _write(folder / name / f"{name}.{part}.inter", content)
    for kind in ("item", "user"):
        file = source / f"{source.name}.{kind}"
        if file.is_file():
            # RecBole would read the mark as part of the first column's name
            _write(folder / name / f"{name}.{kind}", file.read_bytes().removeprefix(codecs.BOM_UTF8))


def refuse_ids(ids: Iterable[str], layout: Layout) -> None:
    """
    Raises:
        DataError: an id of a user or an item cannot stand in a column of a file.
    """
    for token in ids:
        if layout.field_separator in token or "\n" in token:
            raise DataError(
                f"the id {token!r} contains the column separator {layout.field_separator!r}; RecBole's models need "
                "ids without it: use other ids, or files separated by tabs"
            )


def _line(row: PresplitRow, layout: Layout) -> str:
    refuse_ids((row.user_id, row.item_id), layout)
    history = layout.seq_separator.join(row.items)
    return layout.field_separator.join([row.user_id, row.item_id, str(row.label), history])


def _write(path: Path, content: bytes) -> None:
    def write(target: Path) -> None:
        target.write_bytes(content)

    write_whole(path, write)
