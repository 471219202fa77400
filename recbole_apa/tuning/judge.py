"""One trial: train with some options and judge by the validation samples."""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from recbole_apa.backbone.activation_cache import ActivationCache
from recbole_apa.core.errors import SettingsError, TrainingError
from recbole_apa.core.option import Says
from recbole_apa.core.option_table import ACTIVATION_KEYS, names_that_say
from recbole_apa.core.options import refuse_unknown
from recbole_apa.data.recbole_options import IDLE, Role, recbole_names
from recbole_apa.model.contracts import FitInputs
from recbole_apa.pipeline.build import build_model
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.option_names import RECBOLE_EXTRA, RUN_KEYS
from recbole_apa.pipeline.recbole_models import make_baseline_trainer
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.tuning.ranges import Range

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset

    from recbole_apa.model.apa import APA
    from recbole_apa.model.trainer import APATrainer

_DECIDE_ROWS = frozenset(names_that_say(Says.DECIDES_ROWS)) | recbole_names(Role.DECIDES_ROWS)
"""Options that change which samples judge, or by which metric: figures of two values could not be compared."""
_SAY_WHERE = RUN_KEYS | recbole_names(Role.SAYS_WHERE)
"""Options that say where or how the work is done, and change no figure."""


class Judge:
    """Trains a model with options, always on the same data and with the same seed.

    Args:
        options: those that all trials share.

    Raises:
        SettingsError: these options are rejected, or leave no validation samples.
    """

    def __init__(self, model: str, dataset: str, files: Sequence[str], options: Mapping[str, object]) -> None:
        self.model, self.dataset, self.files, self.options = model, dataset, list(files), dict(options)
        self.config = self.configure({})
        if model == "APA" and self.config["valid_samples"] == 0:
            raise SettingsError("valid_samples: found 0, but the validation samples choose; expected at least 1")
        self._rows: str | None = None
        self._cache: tuple[tuple[str, ...], ActivationCache] | None = None

    def configure(self, point: Mapping[str, object]) -> APAConfig:
        """The configuration of a trial.

        Raises:
            SettingsError: options that are rejected.
        """
        return APAConfig(self.model, self.dataset, self.files, {**self.options, **point})

    def check(self, ranges: Sequence[Range]) -> None:
        """Check every value of a choice, and the bounds of other ranges, one at a time.

        Raises:
            SettingsError: lists all options that are unknown, fixed, or of the wrong type or range.
        """
        problems = []
        for r in ranges:
            try:
                self._check_name(r.name)
                for value in r.samples():
                    self.configure({r.name: value})
            except SettingsError as error:
                told = str(error)
                problems.append(told if r.name in told else f"{r.name}: {told}")
        if problems:
            raise SettingsError("ranges: " + "; ".join(problems))

    def _check_name(self, name: str) -> None:
        if name in self.options:
            raise SettingsError(
                f"{name} has a range, but is also given as {self.options[name]!r}; give a range or a value, not both"
            )
        if "." in name:
            raise SettingsError(f"{name}: expected whole values of {name.partition('.')[0]}")
        if name == "seed":
            raise SettingsError("seed: every trial has the same one; a seed chosen by its figure means nothing")
        if name in _DECIDE_ROWS:
            raise SettingsError(f"{name} decides which samples judge, and how; give the same value to all trials")
        if name in _SAY_WHERE:
            raise SettingsError(f"{name} says where or how the work is done and changes no figure; expected no range")
        if self.model == "APA" and name in IDLE:
            raise SettingsError(f"{name} has no effect with APA ({IDLE[name]}); expected no range")
        if self.model != "APA":  # APAConfig accepts APA's own options with every model
            of_recbole = {known for names in self.config.parameters.values() for known in names}
            refuse_unknown([name], of_recbole | set(self.config.internal_config_dict) | RECBOLE_EXTRA)

    def __call__(self, point: Mapping[str, object]) -> tuple[float, dict[str, float]]:
        """Train with a point's options.

        Returns:
            ``valid_metric`` and all of RecBole's metrics, on the validation samples.

        Raises:
            TrainingError: the figure is not a number, or these options judge by other samples than earlier trials did.
        """
        config = self.configure(point)
        data = build_data(config, told=self._rows is None)
        self._check_rows(data.valid_set)
        model = build_model(config, data)
        trainer = self._apa_trainer(config, model) if self.model == "APA" else make_baseline_trainer(config, model)
        show = config["show_progress"]
        score, found = trainer.fit(data.train, data.valid, verbose=False, saved=False, show_progress=show)
        figures = {name: float(value) for name, value in (found or {}).items()}
        if score is None or not math.isfinite(score):
            raise TrainingError(f"{config['valid_metric']} of the validation samples is not a number ({score})")
        return float(score), figures

    def _apa_trainer(self, config: APAConfig, model: "APA") -> "APATrainer":
        key = tuple(str(config[name]) for name in ACTIVATION_KEYS)
        if self._cache is None or self._cache[0] != key:
            self._cache = key, model.engine.cache
        # frozen activations are the same for all adapters: most trials need not compute them again
        model.engine.cache = self._cache[1]
        return make_trainer(config, model, None, FitInputs(writes_board=False, refuses_models=True))

    def _check_rows(self, dataset: "Dataset") -> None:
        rows = _digest_of_rows(dataset)
        self._rows = self._rows or rows
        if rows != self._rows:
            raise TrainingError("these options judge by other validation samples than the first trial did")


def _digest_of_rows(dataset: "Dataset") -> str:
    """SHA-256 over the samples of a part of the dataset, in order."""
    if hasattr(dataset, "samples"):
        told = [f"{s.sample_id} {s.label}" for s in dataset.samples]
    else:
        names = (
            dataset.field2id_token[f][dataset.inter_feat[f].numpy()] for f in (dataset.uid_field, dataset.iid_field)
        )
        told = [f"{user!s}\0{item!s}" for user, item in zip(*names, strict=True)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()
