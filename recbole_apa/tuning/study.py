"""Try options, train with each on the same data and seed, and choose by the validation samples alone.

Test samples are read, as part of RecBole's dataset, but never scored.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from logging import getLogger
from pathlib import Path

from recbole.utils import get_local_time, set_color

from recbole_apa.core.errors import RunError, SettingsError, TrainingError
from recbole_apa.core.properties import properties_folder
from recbole_apa.pipeline.build import start_logging
from recbole_apa.pipeline.idle_options import say_idle
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log
from recbole_apa.tuning.judge import Judge
from recbole_apa.tuning.ranges import read_ranges
from recbole_apa.tuning.search import Point, check_search, search
from recbole_apa.tuning.trials import DONE, FAILED, Search, Trial, shown, trials_table, write_best, write_trials


@dataclass(frozen=True)
class Tuning:
    """Result of :func:`tune`."""

    trials: Sequence[Trial]
    best: Trial
    folder: Path
    """Holds ``trials.json`` and ``best.yaml``."""
    table: str
    """For a terminal."""


@own_log()
def tune(
    model: str = "APA",
    dataset: str = "ml-100k",
    config_file_list: Sequence[str] = (),
    config_dict: Mapping[str, object] | None = None,
    ranges: str | Path | Mapping[str, object] | None = None,
    algo: str = "bayes",
    max_evals: int | None = None,
    early_stop: int | None = None,
    folder: str | Path | None = None,
) -> Tuning:
    """Search for the options that give the best ``valid_metric``.

    Args:
        config_dict: options that all trials share, including ``seed``.
        ranges: as :func:`read_ranges` takes them; None means ``properties/tuning/<model>.yaml``.
        algo: ``bayes`` (hyperopt's TPE), ``random``, or ``exhaustive`` (every point of the ranges).
        max_evals: how many trials, by default 10; ``exhaustive`` tries all.
        early_stop: end after this many trials in a row without a better one.
        folder: where ``trials.json`` and ``best.yaml`` go (default ``saved/tune-<model>-<dataset>-<time>``).

    Raises:
        SettingsError: ranges or options that are rejected, before anything is trained.
        RunError: the folder already exists and is not empty.
        TrainingError: every trial failed.
    """
    asked = read_ranges(_usual_ranges(model) if ranges is None else ranges)
    judge = Judge(model, dataset, config_file_list, config_dict or {})
    judge.check(asked)
    n_points = check_search(asked, algo, max_evals)
    if early_stop is not None and (not isinstance(early_stop, int) or early_stop < 1):
        raise SettingsError(f"early_stop: found {early_stop!r}, expected a whole number of at least 1, or null")
    config = judge.config
    about = Search(
        model=config["model"],
        dataset=dataset,
        algo=algo,
        n_points=n_points,
        seed=config["seed"],
        valid_metric=config["valid_metric"],
        bigger=bool(config["valid_metric_bigger"]),
        ranges=asked,
        fixed=dict(config_dict or {}),
    )
    target = _new_folder(folder, model, dataset)
    with run_lock(target, "tuning"):
        start_logging(config)
        if model == "APA":
            say_idle(config)
        getLogger().info(f"up to {n_points} trials ({algo}), kept in {target}")
        study = _Study(judge, about, target)
        search(asked, algo, n_points, config["seed"], study.try_point, lambda: study.is_over(early_stop))
        return study.end()


def _usual_ranges(model: str) -> Path:
    path = properties_folder() / "tuning" / f"{model}.yaml"
    if not path.is_file():
        raise SettingsError(
            f"ranges: {model} has no default ranges; expected a file, e.g. --ranges=ranges.yaml with the line "
            "`learning_rate: {log_between: [0.0005, 0.01]}`"
        )
    return path


def _new_folder(folder: str | Path | None, model: str, dataset: str) -> Path:
    """
    Raises:
        RunError: it already exists and is not empty.
    """
    if folder is None:
        usual = Path("saved") / f"tune-{model}-{dataset}-{get_local_time()}"
        names = (usual if n == 1 else usual.with_name(f"{usual.name}-{n}") for n in count(1))
        return next(name for name in names if not name.exists())
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunError(f"{target} already exists, and a search cannot be resumed; name a new folder with --tune_dir")
    return target


@dataclass
class _Study:
    """The trials so far."""

    judge: Judge
    search: Search
    folder: Path
    trials: list[Trial] = field(default_factory=list)

    @property
    def best(self) -> Trial | None:
        return self.search.best(self.trials)

    def is_over(self, early_stop: int | None) -> bool:
        """Whether the last trials found nothing better."""
        since = len(self.trials) - (self.best.number if self.best else 0)
        return early_stop is not None and since >= early_stop

    def try_point(self, point: Point) -> float | None:
        """Train, record the trial, and return its loss."""
        number, told = len(self.trials) + 1, ", ".join(f"{name} {shown(value)}" for name, value in point.items())
        getLogger().info(set_color("trial", "pink") + f" {number} of {self.search.n_points}: {told}")
        start = time.perf_counter()
        try:
            score, figures = self.judge(point)
            trial = Trial(number, point, DONE, score, figures, round(time.perf_counter() - start, 3))
        except Exception as error:  # whatever a model raises becomes the trial's reason and does not end the search
            says = f"{type(error).__name__}: {error}"
            trial = Trial(number, point, FAILED, None, {}, round(time.perf_counter() - start, 3), says)
            getLogger().warning(f"trial {number} failed: {says}")
        self.trials.append(trial)
        write_trials(self.folder, self.search, self.trials, complete=False)
        if trial.score is None:
            return None
        if self.best:
            getLogger().info(
                f"trial {number}: {self.search.valid_metric} {trial.score:.4f} on the validation samples after "
                f"{trial.seconds:.1f} s; the best is trial {self.best.number}, {self.best.score:.4f}"
            )
        return -trial.score if self.search.bigger else trial.score

    def end(self) -> Tuning:
        """
        Raises:
            TrainingError: every trial failed.
        """
        write_trials(self.folder, self.search, self.trials, complete=True)
        if self.best is None:
            raise TrainingError(
                f"all {len(self.trials)} trials failed, the first with: {self.trials[0].reason}; they are listed in "
                f"{self.folder}"
            )
        write_best(self.folder, self.search, self.best)
        return Tuning(self.trials, self.best, self.folder, trials_table(self.search, self.trials))
