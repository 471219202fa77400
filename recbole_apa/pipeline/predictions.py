"""Whether a user will like an item: single predictions of a finished run, for programs that serve it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

import numpy as np

from recbole_apa.collaborative import MODEL
from recbole_apa.core.errors import RequestError
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.index.rows import NO_ROLE, TRAIN
from recbole_apa.data.prompts import PromptInput
from recbole_apa.model.combined_scores import AskedPair
from recbole_apa.model.serving import refuse_nothing, say_prefixes
from recbole_apa.pipeline.build import RunResult, open_run
from recbole_apa.pipeline.evidence_models import train_model
from recbole_apa.runs.remote.working_copy import open_place
from recbole_apa.runs.store import RunStore


@dataclass(frozen=True)
class Prediction:
    """One prediction, and what it rests on."""

    user: str
    item: str
    score: float
    """The probability of a like, 0 to 1, as the run serves it: by language model, collaborative statistics, or both."""
    n_history: int
    """Interactions of the user that the prompt shows; 0 for a user of whom the run knows none."""
    n_user_interactions: int
    """All interactions of the user that the run may see, the item's own left out."""
    n_item_interactions: int
    """All interactions with the item that the run may see; 0 for a cold item, known by its text alone."""
    weights: tuple[float, ...]
    """How much each adapter counts, (k,)."""
    user_known: bool
    """Whether the run knows an interaction of the user, be it with the item."""
    model_score: float
    """s: the language model's own probability of "Yes", whatever is served."""


def predict(
    run: str | Path | RunResult, user: str, item: str, config_dict: Mapping[str, object] | None = None
) -> Prediction:
    """:func:`predict_pairs` of one pair."""
    return predict_pairs(run, [(user, item)], config_dict)[0]


def predict_pairs(
    run: str | Path | RunResult,
    pairs: Sequence[tuple[str, str]],
    config_dict: Mapping[str, object] | None = None,
) -> list[Prediction]:
    """Predict for pairs of user and item, as of after the user's last interaction.

    The prompt shows the user's latest interactions, of whatever split, as the run's dataset holds them and as many as
    in training; those with the item itself are left out, for they would give the answer away. A user without any is
    judged by the item alone.

    Args:
        run: a run's folder or URL, which is opened for this call; or an opened run (``recbole_apa.evaluate_run``
            returns one), for many calls.
        pairs: (user, item), as the dataset's files name them.
        config_dict: where things are now, e.g. ``{"data_path": ...}``; only with a folder.

    Returns:
        predictions in the order of ``pairs``.

    Raises:
        RequestError: an item that has neither interactions nor a line in the ``.item`` file.
        RunError: damaged, unfinished, waiting to forget something, left without anything to serve, or made with
            other data or another backbone.
        TrainingError: a RecBole model that the score rests on cannot be trained again here.
    """
    if isinstance(run, RunResult):
        return _predict(run, pairs)
    with open_place(run, "predicting", writes=False) as place:
        opened = open_run(RunStore(place), config_dict)
        say_prefixes(opened.trainer)
        return _predict(opened, pairs)


def _predict(run: RunResult, pairs: Sequence[tuple[str, str]]) -> list[Prediction]:
    if not pairs:
        return []
    refuse_nothing(run.trainer)
    dataset: APADataset = run.data.train_set
    known = dataset.field2token_id[dataset.iid_field]
    # number 0 is RecBole's filling
    unknown = sorted({item for _, item in pairs if not known.get(item, 0)})
    if unknown:
        raise RequestError(
            f"found {len(unknown)} item(s) that the dataset does not have, e.g. {unknown[0]!r}; expected items with "
            "interactions, or with a line in the .item file"
        )
    histories = [_History(dataset, user, item) for user, item in pairs]
    prompts = run.model.engine.encode([history.prompt() for history in histories])
    weights = run.model.weights(prompts)
    model_scores = run.model.aggregate(prompts, weights).cpu().numpy()
    combined = run.trainer.combined
    asked = [history.asked for history in histories]
    scores = combined.served_of_pairs(asked, model_scores, model_terms(run, pairs)) if combined else model_scores
    counts = {item: int(dataset.interactions.items.where(item).sum()) for item in {item for _, item in pairs}}
    told = zip(histories, weights.tolist(), scores.tolist(), model_scores.tolist(), strict=True)
    return [
        Prediction(*pair, score, len(h.shown), h.n_rows, counts[pair[1]], tuple(row), h.is_known, own)
        for pair, (h, row, score, own) in zip(pairs, told, strict=True)
    ]


def model_terms(run: RunResult, pairs: Sequence[tuple[str, str]]) -> np.ndarray | None:
    """The terms of the evidence's RecBole models, (n, m); None if nothing that is served rests on one. The run keeps no
    model: each is trained again, once for an opened run. One whose coefficient is 0 is not: its terms are zeros here.

    Raises:
        TrainingError: one cannot be trained, or its scores are not finite.
        OSError: the rows cannot be written for RecBole.
    """
    combined = run.trainer.combined
    if combined is None or combined.served == MODEL or not combined.fitted.models:
        return None
    columns = []
    for name in combined.fitted.models:
        if not combined.coefficient(name):
            columns.append(np.zeros(len(pairs)))
            continue
        if name not in run.evidence_models:
            getLogger().info(f"training {name} again, which what is served rests on")
            run.evidence_models[name] = train_model(run.config, name, run.data.train_set.run_data)
        columns.append(run.evidence_models[name].terms([user for user, _ in pairs], [item for _, item in pairs]))
    return np.column_stack(columns)


class _History:
    """What the run knows of a user, without the item that is asked about."""

    def __init__(self, dataset: APADataset, user: str, item: str) -> None:
        rows, windows = dataset.interactions, dataset.windows
        is_users, is_items = rows.users.where(user), rows.items.where(item)
        self.is_known = bool(is_users.any())
        of_user = np.flatnonzero(is_users & ~is_items)
        ordered = of_user[np.argsort(windows.place[of_user])]
        data = dataset.run_data
        roles = data.notes.roles[data.kept[is_users & is_items]]
        is_learnt = bool(np.isin(roles, (TRAIN, NO_ROLE)).any())
        self.asked = AskedPair(user, item, ordered, is_learnt)
        self.n_rows = len(ordered)
        self.shown = ordered[-dataset.settings.history_length :]
        self._dataset, self._item = dataset, item

    def prompt(self) -> PromptInput:
        """What the prompt says, the history oldest first."""
        dataset, rows = self._dataset, self._dataset.interactions
        number, texts = dataset.field2token_id[dataset.iid_field], dataset.item_texts
        told = zip(rows.items.texts(self.shown), rows.labels[self.shown].tolist(), strict=True)
        return PromptInput(tuple((texts[number[name]], label) for name, label in told), texts[number[self._item]])
