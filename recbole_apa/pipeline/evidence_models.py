"""RecBole models as terms of a run's evidence: trained on the rows of its training period, on a CPU, by its seed.

A model sees no row of the validation or test period, not even the names in them: the epoch is chosen on a tenth of the
training rows, by the hash of each row's id, so that forgetting a row moves no other one to the other side.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

import numpy as np
import torch

from recbole_apa.collaborative import model_key, splits_scored
from recbole_apa.collaborative.terms import log_odds
from recbole_apa.core.errors import APAError, TrainingError
from recbole_apa.core.log_levels import warnings_alone
from recbole_apa.data.presplit_files import Layout
from recbole_apa.data.run_data import RunData
from recbole_apa.model.contracts import ModelTerms
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.evidence_option import COUNTS, EVIDENCE, MODELS
from recbole_apa.pipeline.evidence_rows import EvidenceRows, in_order
from recbole_apa.pipeline.pair_scores import pair_scores
from recbole_apa.pipeline.recbole_models import PresplitFiles, TrainedBaseline, train_baseline
from recbole_apa.pipeline.recbole_names import usual_options
from recbole_apa.runs.scratch import scratch


@dataclass(frozen=True)
class EvidenceModel:
    """One trained model."""

    name: str
    trained: TrainedBaseline

    def terms(self, users: Sequence[str], items: Sequence[str]) -> np.ndarray:
        """Its term for pairs of user and item, float64, (n,): the log odds of a probability; any other score as it is.

        Raises:
            TrainingError: a score is NaN or infinite, or RecBole fails.
        """
        with _one_thread(), _documented(self.name):
            scores = pair_scores(self.trained, users, items).astype(np.float64)
        if not np.isfinite(scores).all():
            raise TrainingError(f"{self.name} gives scores that are NaN or infinite, expected finite ones")
        return log_odds(scores) if self.trained.is_probability else scores


def models_of(config: APAConfig) -> tuple[str, ...]:
    """The models that a run's evidence has."""
    return tuple(config[MODELS]) if config[EVIDENCE] == COUNTS else ()


def train_model(config: APAConfig, name: str, data: RunData, seed: int | None = None) -> EvidenceModel:
    """Train a model on all rows of the training period. Its files are deleted again; what it is trained on, and in
    which order, depends on those rows and the items' columns alone.

    Args:
        seed: another one than the configuration's.

    Raises:
        TrainingError: there is nothing to train it on, or RecBole cannot train it here.
        OSError: its rows cannot be written.
    """
    rows = EvidenceRows.of(data)
    why = rows.why_unfit(name, Layout.of(config))
    if why:
        raise TrainingError(f"{name} cannot be trained on what the run has: {why}")
    return _train(config, name, data, rows, seed=seed)


def _train(
    config: APAConfig,
    name: str,
    data: RunData,
    rows: EvidenceRows,
    run: Path | None = None,
    seed: int | None = None,
) -> EvidenceModel:
    """See :func:`train_model`; the rows were looked at.

    Args:
        run: the folder of the run that is written, as in :func:`~recbole_apa.runs.scratch.scratch`.
    """
    layout = Layout.of(config)
    columns = sorted(set(data.texts.available) - {config["ITEM_ID_FIELD"]})
    # RecBole has a line for each epoch, many times what the run itself has to say
    with scratch(run) as folder, _one_thread(), warnings_alone():
        rows.write(folder, Path(config["data_path"]), layout)
        files = PresplitFiles(folder, columns, config["MAX_ITEM_LIST_LENGTH"], layout)
        where = {"log_dir": str(folder), "use_gpu": False}  # a GPU adds gradients of vectors in any order
        options = {**usual_options(name, "all"), **where}
        with _documented(name):
            return EvidenceModel(name, train_baseline(name, files, config["seed"] if seed is None else seed, options))


@contextmanager
def _documented(name: str) -> Iterator[None]:
    """
    Raises:
        TrainingError: in place of whatever RecBole raises, also for want of memory, which has many names.
    """
    try:
        yield
    except (APAError, OSError):
        raise
    except Exception as error:
        raise TrainingError(
            f"{name}, a model of the evidence, could not be trained ({type(error).__name__}: {error}); its rows are no "
            "reason that this program knows: try again with more memory or on another machine"
        ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Several threads share a sum in as many parts, which are rounded otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def evidence_models_of(config: APAConfig) -> Callable[[RunData, Path | None], ModelTerms]:
    """A function (rows, folder of the run that is written) that trains the models of a run's evidence and scores its
    validation and test samples and the further rows.

    A model that cannot learn from the rows there are has zeros for terms, and is named as failed. Any other failure
    may be of the machine, and is raised: else the terms would depend on it.

    Raises:
        TrainingError: (the function) a model cannot be trained here, or gives scores that are not finite.
        OSError: its rows cannot be written.
    """

    def terms(data: RunData, run: Path | None = None) -> ModelTerms:
        names = models_of(config)
        out, rows = ModelTerms(), EvidenceRows.of(data) if names else None
        for name in names:
            assert rows is not None
            _add(out, config, name, data, rows, run)
        return out

    return terms


def _add(out: ModelTerms, config: APAConfig, name: str, data: RunData, rows: EvidenceRows, run: Path | None) -> None:
    which = {split: in_order(data, data.rows_of(split)) for split in splits_scored(len(data.evidence_rows))}
    why = rows.why_unfit(name, Layout.of(config))
    if why:
        out.failed[name] = why
        out.scores.update({model_key(split, name): np.zeros(len(asked)) for split, asked in which.items()})
        getLogger().warning(f"{EVIDENCE}: {name} cannot be trained on these rows ({why})")
        return
    model = _train(config, name, data, rows, run)
    for split, asked in which.items():
        out.scores[model_key(split, name)] = model.terms(data.rows.users.texts(asked), data.rows.items.texts(asked))
