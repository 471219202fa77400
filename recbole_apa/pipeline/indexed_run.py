"""A finished run as its index describes it: its data files are not parsed, and neither RecBole nor torch is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import DataError
from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.filters import Tables, sides_by_value
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import IndexedRows, IndexRows
from recbole_apa.data.index.source import DataFile, unchanged_files
from recbole_apa.data.item_text import ItemTexts
from recbole_apa.data.loaded_rows import Sides
from recbole_apa.data.read_data import data_files, read_sides
from recbole_apa.data.run_data import RunData
from recbole_apa.data.survey import Noted
from recbole_apa.evidence import KeyRing, secret_of
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import KEY
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.runs.plain_ids import has_plain_ids

_ALL = (None, "[0,inf)")
"""Values of RecBole's filters by count that keep everything."""


@dataclass(frozen=True)
class IndexedRun:
    """One state of a run whose data files are those that its index was made of."""

    store: PinnedStore
    manifest: Manifest
    index: Index
    options: DataOptions
    stem: Path
    """Of the data files, without their endings."""
    files: tuple[DataFile, ...]
    """The data files, as they were when they were compared with the index."""
    keys: KeyRing

    @cached_property
    def sides(self) -> Sides:
        """The tables that describe users and items."""
        return read_sides(self.options.files, self.stem)

    @property
    def is_local(self) -> bool:
        """Whether forgetting a user's rows cannot change what the filters keep of others."""
        filters = self.options.filters
        is_split = self.options.files.presplit is not None
        return is_split or (filters.user_counts in _ALL and filters.item_counts in _ALL)

    @cached_property
    def texts(self) -> ItemTexts:
        """The texts of items."""
        items = self.sides[1]
        if items is not None and self.options.files.presplit is None:
            items = sides_by_value(Tables(items, *self.sides), self.options.filters)[1]
        return ItemTexts(items, self.options.samples.item_text, self.options.files)

    @cached_property
    def noted(self) -> Noted:
        """What the manifest says of the rows."""
        return Noted(self.manifest["draw"], has_plain_ids(self.manifest))

    def data_of(self, rows: IndexRows, filtered: bool = True) -> RunData:
        """What is made of some rows; of each user all rows, or none.

        Args:
            filtered: take what passed the filters when the index was written.
        """
        indexed = IndexedRows(rows, self.files, self.index.facts.about.additions, filtered)
        return RunData.of_index(indexed, self.options, self.sides, self.noted.cutoffs, self.noted.plain_ids)


def open_indexed(store: PinnedStore, stem: Path | None, keys: KeyRing) -> IndexedRun | None:
    """A run by its index; None if it has none, or its data files are not those that the index was made of.

    Args:
        stem: the path of the data files without their endings, if it is known.

    Raises:
        RunError: the index is damaged.
        KeyFileError: the run's key is not in the ring.
    """
    if stem is None or not store.has_index():
        return None
    manifest, index = store.manifest(), store.open_index()
    options = DataOptions.from_json(index.facts.about.options)
    name = manifest.get(KEY)
    secret = secret_of(manifest["salt"], keys.key(name) if name else None)
    try:
        files = unchanged_files(data_files(options.files, stem), index.facts.about.source, secret)
    except (DataError, OSError):
        return None  # what is wrong with the files is said where they are read
    return None if files is None else IndexedRun(store, manifest, index, options, stem, files, keys)


def data_stem(options: Mapping[str, Any]) -> Path | None:
    """The path of a dataset's files without their endings, as RecBole finds them; None if only RecBole knows."""
    name = str(options["dataset"])
    if options.get("data_path"):
        return Path(str(options["data_path"])) / name / name
    spec = find_spec("recbole") if name == "ml-100k" else None
    if spec is None or spec.submodule_search_locations is None:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / "dataset_example" / name / name
