"""RecBole models as terms of a run's evidence: trained on the rows of its training period, on a CPU, by its seed.

A model sees no row of validation or test samples, not even the names in them: the epoch is chosen on a tenth of the
training rows, by the hash of each row's id, so that forgetting a row moves no other one to the other side.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

import numpy as np

from recbole_apa.collaborative import JUDGED, model_key
from recbole_apa.collaborative.terms import log_odds
from recbole_apa.core.errors import TrainingError
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.baseline_rows import baseline_rows
from recbole_apa.data.presplit_files import Layout, PresplitRow, write_presplit
from recbole_apa.data.run_data import RunData
from recbole_apa.model.contracts import ModelTerms
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.evidence_option import COUNTS, EVIDENCE, MODELS
from recbole_apa.pipeline.pair_scores import pair_scores
from recbole_apa.pipeline.recbole_models import NAME, PresplitFiles, TrainedBaseline, train_baseline
from recbole_apa.pipeline.recbole_names import usual_options

ONE_IN = 10
"""One row in so many chooses the epoch."""


@dataclass(frozen=True)
class EvidenceModel:
    """One trained model."""

    name: str
    trained: TrainedBaseline

    def terms(self, users: Sequence[str], items: Sequence[str]) -> np.ndarray:
        """Its term for pairs of user and item, float64, (n,): the log odds of a probability; any other score as it is.

        Raises:
            TrainingError: a score is NaN or infinite.
        """
        scores = pair_scores(self.trained, users, items).astype(np.float64)
        if not np.isfinite(scores).all():
            raise TrainingError(f"{self.name} gives scores that are NaN or infinite, expected finite ones")
        return log_odds(scores) if self.trained.is_probability else scores


def models_of(config: APAConfig) -> tuple[str, ...]:
    """The models that a run's evidence has."""
    return tuple(config[MODELS]) if config[EVIDENCE] == COUNTS else ()


def train_model(config: APAConfig, name: str, data: RunData) -> EvidenceModel:
    """Train a model on all rows of the training period. Its files are deleted again; what it is trained on, and in
    which order, depends on those rows and the items' columns alone."""
    with tempfile.TemporaryDirectory(prefix="recbole-apa-") as folder:
        layout = Layout.of(config)
        learnt, judged = _rows_of(data)
        parts = {"train": learnt, "valid": judged, "test": judged}
        write_presplit(Path(folder), NAME, parts, Path(config["data_path"]), layout)
        columns = sorted(set(data.texts.available) - {config["ITEM_ID_FIELD"]})
        files = PresplitFiles(Path(folder), columns, config["MAX_ITEM_LIST_LENGTH"], layout)
        where = {"log_dir": folder, "use_gpu": False}  # a GPU adds gradients of vectors in any order
        return EvidenceModel(name, train_baseline(name, files, config["seed"], {**usual_options(name, "all"), **where}))


def evidence_models_of(config: APAConfig) -> Callable[[RunData], ModelTerms]:
    """A function that trains the models of a run's evidence and scores its validation and test samples."""

    def terms(data: RunData) -> ModelTerms:
        out = ModelTerms()
        for name in models_of(config):
            _add(out, config, name, data)
        return out

    return terms


def _add(out: ModelTerms, config: APAConfig, name: str, data: RunData) -> None:
    rows = {split: _in_order(data, data.targets[split]) for split in JUDGED}
    pairs = {split: (data.rows.users.texts(which), data.rows.items.texts(which)) for split, which in rows.items()}
    try:
        model = train_model(config, name, data)
        found = {model_key(split, name): model.terms(*told) for split, told in pairs.items()}
    except (MemoryError, OSError):
        raise  # of this machine, not of the rows: another attempt may succeed
    except Exception as error:  # RecBole raises whatever it likes
        out.failed[name] = f"{type(error).__name__}: {error}"
        found = {model_key(split, name): np.zeros(len(which)) for split, which in rows.items()}
        getLogger().warning(f"{EVIDENCE}: {name} cannot be trained on these rows ({out.failed[name]})")
    out.scores.update(found)


def _rows_of(data: RunData) -> tuple[list[PresplitRow], list[PresplitRow]]:
    """The rows to learn from and those that choose the epoch, in order of their ids; if one of the two would be empty,
    all rows are both."""
    which = _in_order(data, baseline_rows(data, "all"))
    users, items, labels = data.rows.users.texts(which), data.rows.items.texts(which), data.rows.labels[which].tolist()
    rows = [PresplitRow(*told, ()) for told in zip(users, items, labels, strict=True)]
    chosen = [digest_of("evidence models", name)[0] % ONE_IN == 0 for name in data.rows.row_ids(which)]
    parts = ([row for row, is_out in zip(rows, chosen, strict=True) if is_out == wanted] for wanted in (False, True))
    learnt, judged = parts
    return (learnt, judged) if learnt and judged else (rows, rows)


def _in_order(data: RunData, rows: np.ndarray) -> np.ndarray:
    """Rows in order of their ids: how a dataset numbers them has no say."""
    return rows[np.argsort(np.array(data.rows.row_ids(rows), dtype=object), kind="stable")]
