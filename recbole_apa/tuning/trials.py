"""The trials of a search, and their files."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tabulate import tabulate

from recbole_apa.core.files.whole import write_json, write_text
from recbole_apa.tuning.ranges import Range

DONE, FAILED = "done", "failed"
TRIALS, BEST = "trials.json", "best.yaml"
FORMAT = 1


@dataclass(frozen=True)
class Trial:
    """One training with its own options."""

    number: int
    """From 1."""
    options: Mapping[str, Any]
    status: str
    """``done`` or ``failed``."""
    score: float | None = None
    """``valid_metric`` on the validation samples."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """RecBole's metrics on the validation samples."""
    seconds: float = 0.0
    """Training and validation."""
    reason: str = ""
    """Why it failed."""


@dataclass(frozen=True)
class Search:
    """What was searched, and how."""

    model: str
    dataset: str
    algo: str
    n_points: int
    seed: int
    valid_metric: str
    bigger: bool
    """Whether a bigger figure is better."""
    ranges: Sequence[Range]
    fixed: Mapping[str, Any]
    """Options that all trials share, as given."""

    def best(self, trials: Sequence[Trial]) -> Trial | None:
        """The trial with the best score, the first of equals. None if all failed."""
        sign = -1 if self.bigger else 1
        done = [t for t in trials if t.score is not None]
        return min(done, key=lambda t: (sign * (t.score or 0.0), t.number), default=None)


def write_trials(folder: Path, search: Search, trials: Sequence[Trial], complete: bool) -> None:
    """Write ``trials.json``, whole or not at all."""
    told = {k: v for k, v in vars(search).items() if k != "ranges"}
    ranges = {r.name: {r.kind: list(r.values)} for r in search.ranges}
    best = search.best(trials)
    write_json(
        folder / TRIALS,
        {
            "format": FORMAT,
            "complete": complete,
            "search": {**_plain(told), "ranges": _plain(ranges)},
            "best": best and best.number,
            "trials": [_plain(asdict(t)) for t in trials],
        },
    )


def write_best(folder: Path, search: Search, best: Trial) -> None:
    """Write ``best.yaml``: the options of the best trial, for use with ``--config_files``."""
    shared = "".join(f"#   {name}: {value!r}\n" for name, value in _plain(search.fixed).items())
    head = (
        f"# The best of the trials in {TRIALS}: {search.valid_metric} {best.score:.4f} on the validation samples.\n"
        f"# Train with it:  recbole-apa --model={search.model} --dataset={search.dataset} --config_files={BEST}\n"
    )
    if shared:
        head += f"# All trials shared these options, which are not set here:\n{shared}"
    write_text(folder / BEST, head + yaml.safe_dump(_plain(best.options), sort_keys=False, allow_unicode=True))


def trials_table(search: Search, trials: Sequence[Trial]) -> str:
    """The trials in order, with the best one marked."""
    names = [r.name for r in search.ranges]
    best = search.best(trials)
    rows = []
    for t in trials:
        score = "failed" if t.score is None else f"{t.score:.4f}"
        mark = "best" if t is best else ""
        rows.append([t.number, *(shown(t.options[n]) for n in names), score, f"{t.seconds:.1f}", mark])
    return tabulate(rows, ["trial", *names, f"valid {search.valid_metric}", "seconds", ""], disable_numparse=True)


def shown(value: object) -> str:
    """A value for people: floats with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: object) -> Any:
    """As JSON can hold it: no tuples, no NaN or infinities."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
