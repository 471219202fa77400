"""The data of a finished run: from its index if it has one, else from its files."""

from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.core.errors import RunError
from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.index.compare import differing_rows
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import IndexedRows
from recbole_apa.data.index.source import DataFile, files_as_they_are
from recbole_apa.data.read_data import data_files, read_visible
from recbole_apa.data.samples import Interactions
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import KeyRing
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.pipeline.indexed_run import open_indexed
from recbole_apa.pipeline.same_data import is_same_data, other_data
from recbole_apa.runs.pinned_run import PinnedStore

if TYPE_CHECKING:
    from recbole_apa.data.loaders import Loaders
    from recbole_apa.pipeline.config import APAConfig


def stored_data(store: PinnedStore, config: "APAConfig", visible_data: VisibleData, keys: KeyRing) -> "Loaders":
    """The data of a run, whose files have to be those that it was made of.

    Args:
        visible_data: what the run may see.

    Raises:
        RunError: they have other visible rows, or other texts of items; or the index has rows that were forgotten.
    """
    data, is_known, other = read_stored(store, config, visible_data, keys, filtered=True)
    if other is None and not is_known and not is_same_data(store.manifest(), data.train_set, keys):
        of_index = "its interactions are the run's, and texts of items are not: restore its .item file"
        other = of_index if store.has_index() else ""
    if other is not None:
        says = other_data(store.manifest(), config, data.train_set, keys)
        raise RunError(f"{says}: {other}" if other else says)
    part = data.train_set
    seen = visible_data.visible(part.raw_interactions, part.run_data.added_at) if visible_data.forgotten else None
    n_hidden = 0 if seen is None else int((~seen).sum())
    if n_hidden:
        raise RunError(
            f"{store.place}: its index has {n_hidden} forgotten interactions; ask --audit what else is wrong, "
            "and restore the run from a copy"
        )
    return data


def read_stored(
    store: PinnedStore, config: "APAConfig", visible_data: VisibleData, keys: KeyRing, filtered: bool
) -> "tuple[Loaders, bool, str | None]":
    """The data of a run, and what is known of its files.

    Args:
        filtered: take what passed the filters when the index was written, instead of applying them again.

    Returns:
        the data; whether the files are, byte for byte, those that the index was made of; and how their visible rows
        differ from those of the index, in words, if they do.
    """
    run = open_indexed(store, Path(config["data_path"]) / config["dataset"], keys)
    if run is not None:
        rows = IndexedRows(run.index.all_rows(), run.files, run.index.facts.about.additions, filtered)
        return build_data(config, visible_data, indexed=rows), True, None
    if not store.has_index():
        return build_data(config, visible_data), False, None
    index = store.open_index()
    files, left = _visible_rows(config, index, visible_data)
    other = differing_rows(index, left)
    if other:
        return build_data(config, visible_data), False, other
    # the files were changed and have the same rows: splits are those that the index notes
    rows = IndexedRows(index.all_rows(), files, index.facts.about.additions, filtered)
    return build_data(config, visible_data, indexed=rows), False, None


def _visible_rows(
    config: "APAConfig", index: Index, visible_data: VisibleData
) -> tuple[tuple[DataFile, ...], Interactions]:
    """The data files as they were before they were read, and their visible rows before any filter: perhaps none, or
    none that a sample is made of, where a run lives on what additions brought.

    Raises:
        DataError: files or columns are missing, or the reader rejects a file.
    """
    from recbole_apa.pipeline.datasets import refuse_missing_files

    refuse_missing_files(config)
    options = DataOptions.from_json(index.facts.about.options)
    stem = Path(config["data_path"]) / config["dataset"]
    files = files_as_they_are(data_files(options.files, stem))
    return files, read_visible(options.files, options.label, stem, visible_data)
