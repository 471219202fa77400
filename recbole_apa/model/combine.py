"""Make what a run serves beside its language model: RecBole models' terms, and the combination with the statistics."""

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from recbole_apa.backbone.text_states import TextStates
from recbole_apa.collaborative import (
    Contents,
    Fitted,
    ItemCodes,
    TermOptions,
    model_key,
    needed_items,
    splits_scored,
    targets_of,
)
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.settings import APASettings
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.item_text import ItemTexts, columns_digest
from recbole_apa.data.run_data import RunData
from recbole_apa.data.splits import SPLITS
from recbole_apa.model.combined_scores import CombinedScores, by_id, codes_of
from recbole_apa.model.contracts import FitInputs
from recbole_apa.model.fit_context import FitContext, FitRecord
from recbole_apa.runs.store import RunStore


def combined_of(
    fit: FitContext, part: APADataset, valid_scores: np.ndarray, terms: Mapping[str, np.ndarray]
) -> CombinedScores | None:
    """Count all rows, and fit the combination on the validation samples; None if the run has no such statistics.

    Args:
        fit: the training; its store has the run's index, its inputs may have the items' numbers.
        part: the validation samples.
        valid_scores: of the model, (n,), by neighbours of other users.
        terms: of RecBole models, as :attr:`~recbole_apa.model.contracts.ModelTerms.scores`.

    Raises:
        DataError: ``evidence_columns`` or ``evidence_text`` names a column that the items do not have.
    """
    settings, data = fit.model.settings.collaborative, part.run_data
    if not settings.counts:
        return None
    codes = fit.inputs.items or codes_of(fit.store, data)
    text_states = TextStates(fit.model.engine, fit.inputs.reuse.text_states if fit.inputs.reuse else None)
    options = _options(settings, data)
    contents = _contents(settings, data, codes, options, text_states)
    scores = {SPLITS[1]: by_id(part, valid_scores), **terms}
    fitted = Fitted.anew([data], codes, scores, contents.options(options), contents)
    if terms:
        fitted = replace(fitted, columns=columns_digest(data.texts))
    return CombinedScores(fitted, data, contents, settings, text_states)


def _options(settings: CollaborativeSettings, data: RunData) -> TermOptions:
    past = data.options.samples.history_length if settings.evidence_past == "shown" else 0
    return TermOptions(past=past, use_ratings=settings.evidence_values == "ratings")


def _contents(
    settings: CollaborativeSettings, data: RunData, codes: ItemCodes, options: TermOptions, text_states: TextStates
) -> Contents:
    """What is public about the items; states of those alone that the run's samples need."""
    if not settings.uses_states:
        return Contents.of(settings, data.texts, codes.names)
    needed = needed_items(targets_of([data], codes, options), options)
    return Contents.embedded(settings, data.texts, codes.names, needed, text_states)


def model_terms(
    of_run: APASettings, data: RunData, inputs: FitInputs, record: FitRecord, store: RunStore | None
) -> dict[str, np.ndarray]:
    """The terms of the RecBole models of a run's evidence, which are trained now, before anything is written
    that lasts: :attr:`~recbole_apa.model.contracts.ModelTerms.scores`; empty without such models.

    Args:
        store: of the run that is written; None if none is.

    Raises:
        DataError: ``evidence_columns`` or ``evidence_text`` names a column that the items do not have.
        SettingsError: a new run's rows are nothing to train one on, or nothing trains it.
        TrainingError: one cannot be trained here.
    """
    settings = of_run.collaborative
    _refuse_columns(data.texts, settings)
    if not settings.models:
        return {}
    if not inputs.trains_models:
        sizes = {split: len(data.rows_of(split)) for split in splits_scored(len(data.evidence_rows))}
        return {model_key(split, name): np.zeros(n) for name in settings.models for split, n in sizes.items()}
    if inputs.evidence_models is None:
        raise SettingsError(
            f"evidence_models: found {', '.join(settings.models)}, and this trainer was made without what trains them; "
            "train with recbole_apa.run"
        )
    start = time.perf_counter()
    found = inputs.evidence_models(data, store.folder if store else None)
    record.add_seconds("evidence_models_seconds", start)
    if found.failed and inputs.refuses_models:
        told = "; ".join(f"{name} cannot be trained on this data ({why})" for name, why in found.failed.items())
        raise SettingsError(f"evidence: {told}; leave it out")
    return found.scores


def _refuse_columns(texts: ItemTexts, settings: CollaborativeSettings) -> None:
    """
    Raises:
        DataError: ``evidence_columns`` or ``evidence_text`` names a column that the items do not have.
    """
    if settings.counts:
        Contents.of(settings, texts, ())
