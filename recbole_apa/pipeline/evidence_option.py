"""What ``evidence: auto`` stands for in a configuration, and why a run cannot have collaborative statistics."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recbole_apa.core.errors import SettingsError
from recbole_apa.data.eval_checks import is_ranking
from recbole_apa.data.recbole_data_options import file_options
from recbole_apa.runs.keep_index import can_be_indexed

if TYPE_CHECKING:
    from recbole.config import Config

AUTO, COUNTS, NONE = "auto", "counts", "none"
EVIDENCE, COLUMNS = "evidence", "evidence_columns"


def settled_evidence(config: "Config", given: Mapping[str, object]) -> dict[str, object]:
    """The options about evidence with the values that they stand for here.

    Args:
        config: with all other options as they are used.
        given: the options that a user gave.

    Raises:
        SettingsError: ``counts`` where a run cannot have them.
    """
    asked, columns = config[EVIDENCE], config[COLUMNS]
    why = _why_not(config) if asked != NONE else ""
    if asked == COUNTS and why:
        raise SettingsError(f"{EVIDENCE}: found {COUNTS}, expected {NONE} or {AUTO}: {why}")
    settled = NONE if why or asked == NONE else COUNTS
    if columns is not None and COLUMNS not in given and not _are_loaded(config, columns):
        columns = None  # a dataset's own properties name them, and the user may read other columns
    return {EVIDENCE: settled, COLUMNS: columns}


def _why_not(config: "Config") -> str:
    """Why a run cannot have collaborative statistics; empty if it can."""
    files = file_options(config)
    if is_ranking(config["eval_args"]):
        return "collaborative statistics score labelled rows, and eval_args.mode asks for rankings of candidates"
    if files.presplit is not None:
        return "benchmark_filename gives files that are already split, and statistics need the run's own split"
    if not can_be_indexed(files):
        return (
            "alias_of_user_id or alias_of_item_id names further columns of ids; a run with them has no index of its "
            "rows, and without one nobody could be subtracted from the statistics"
        )
    if config["valid_samples"] == 0:
        return "valid_samples is 0, and they are combined with the language model on validation samples"
    return ""


def _are_loaded(config: "Config", columns: object) -> bool:
    """Whether columns of the ``.item`` file are among those that are read."""
    names = {columns} if isinstance(columns, str) else set(columns) if isinstance(columns, (list, tuple)) else set()
    read, left_out = file_options(config).columns("item")
    return (read is None or names <= read) and not names & left_out
