"""What the option ``evidence`` stands for in a configuration, and why a run cannot have collaborative statistics."""

import string
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from recbole.utils import ModelType

from recbole_apa.core.errors import SettingsError
from recbole_apa.data.eval_checks import is_ranking
from recbole_apa.data.recbole_data_options import file_options
from recbole_apa.pipeline.recbole_names import find_model, reads_graph
from recbole_apa.runs.keep_index import can_be_indexed

if TYPE_CHECKING:
    from recbole.config import Config

AUTO, COUNTS, NONE = "auto", "counts", "none"
EVIDENCE, MODELS, PAST, COLUMNS = "evidence", "evidence_models", "evidence_past", "evidence_columns"
FIT = "evidence_fit"
VALUES, CONTENT, TEXT = "evidence_values", "evidence_content", "evidence_text"
SAMPLES = "evidence_samples"
BOTH = "both"
_WITH_STATES = ("states", BOTH)
_KINDS = {ModelType.CONTEXT, ModelType.GENERAL}


def told_apart(values: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """A list such as ``[counts, DeepFM]`` as the two options that it stands for; nothing if ``evidence`` is no list.

    Args:
        values: all options.
        given: those that a user gave.

    Raises:
        SettingsError: the list does not begin with ``counts`` or ``auto``, or both options are given.
    """
    asked = values[EVIDENCE]
    if not isinstance(asked, (list, tuple)):
        return {}
    first, *models = asked or [None]
    if first not in (COUNTS, AUTO):
        raise SettingsError(
            f"{EVIDENCE}: found {list(asked)}, expected {COUNTS}, {NONE}, {AUTO}, or a list that begins with {COUNTS}, "
            f"e.g. [{COUNTS}, DeepFM]"
        )
    if models and given.get(MODELS):
        raise SettingsError(
            f"{EVIDENCE}: found {list(asked)} and {MODELS}: {given[MODELS]}; expected models in one of the two"
        )
    return {EVIDENCE: first, **({MODELS: models} if models else {})}


def settled_evidence(config: "Config", given: Mapping[str, object]) -> dict[str, object]:
    """The options about evidence with the values that they stand for here.

    Args:
        config: with all other options as they are used.
        given: the options that a user gave.

    Raises:
        SettingsError: ``counts`` or models where a run cannot have them, or models that cannot be combined.
    """
    asked = config[EVIDENCE]
    models = _as_list(config[MODELS])
    why = _why_not(config) if asked != NONE else ""
    if why and (models or asked == COUNTS):
        found = f"[{asked}, {', '.join(models)}]" if models else asked
        alone = " without models" if models else ""
        raise SettingsError(f"{EVIDENCE}: found {found}, expected {NONE} or {AUTO}{alone}: {why}")
    if asked != NONE:
        _refuse_models(models)
    settled = NONE if why or asked == NONE else COUNTS
    samples = 0 if settled == NONE else config[SAMPLES]
    return {EVIDENCE: settled, MODELS: models, SAMPLES: samples, **_settled_content(config, given, settled)}


def _settled_content(config: "Config", given: Mapping[str, object], evidence: str) -> dict[str, object]:
    """Columns and text of items as they are used here.

    Args:
        evidence: as it is settled.

    Raises:
        SettingsError: columns are asked for, and none are named.
    """
    columns, text, content = config[COLUMNS], config[TEXT], config[CONTENT]
    # a dataset's own properties name columns, and the user may read others
    if columns is not None and COLUMNS not in given and not _are_loaded(config, columns):
        columns = None
    if TEXT not in given and (content not in _WITH_STATES or (text and not _are_loaded(config, _columns_in(text)))):
        text = None
    if content == BOTH and evidence == COUNTS and not columns:
        raise SettingsError(
            f"{CONTENT}: found {BOTH}, expected states, or {COLUMNS} that are read, e.g. [genres, year]: none of them "
            "tells here which items are alike"
        )
    return {COLUMNS: columns, TEXT: text}


def _columns_in(text: str) -> list[str]:
    return [name for _, name, _, _ in string.Formatter().parse(text) if name]


def _as_list(names: object) -> list[str]:
    return [names] if isinstance(names, str) else list(names)  # type: ignore[call-overload]


def _refuse_models(names: Sequence[str]) -> None:
    """
    Raises:
        SettingsError: no such model, one that needs other files or a history, or one named twice.
    """
    for name in names:
        model = find_model(name)
        if model.type not in _KINDS or reads_graph(model) or model.__name__ != name:
            raise SettingsError(
                f"{EVIDENCE}: found the model {name}, expected one of RecBole's context-aware or general models, "
                "written as RecBole writes it, e.g. DeepFM, FM, BPR or LightGCN: what needs a history or further files "
                "cannot be trained again on what a request leaves"
            )
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise SettingsError(f"{EVIDENCE}: found {', '.join(twice)} more than once, expected each model once")


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
