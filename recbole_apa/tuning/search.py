"""Which points of the ranges are tried, and in which order; knows nothing about models."""

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.log_levels import warnings_alone
from recbole_apa.tuning.ranges import Range

Point = dict[str, Any]
"""Option -> value."""
ALGORITHMS = ("bayes", "random", "exhaustive")
USUAL = 10
"""Number of points tried by default."""
_RANDOM_FIRST = 20
"""Maximum number of random draws before ``bayes`` uses what it has seen: hyperopt's own default."""


def grid_size(ranges: Sequence[Range]) -> int | None:
    """The number of points; None if they cannot be counted."""
    sizes = [len(r.grid) for r in ranges]
    return math.prod(sizes) if all(sizes) else None


def check_search(ranges: Sequence[Range], algo: str, max_evals: int | None) -> int:
    """The number of points to try.

    Raises:
        SettingsError: an unknown algorithm, one that needs hyperopt when it is not installed, or ranges that the
            algorithm cannot search.
    """
    if algo not in ALGORITHMS:
        raise SettingsError(f"algo: found {algo!r}, expected one of {', '.join(ALGORITHMS)}")
    if max_evals is not None and (not isinstance(max_evals, int) or isinstance(max_evals, bool) or max_evals < 1):
        raise SettingsError(f"max_evals: found {max_evals!r}, expected a whole number of at least 1")
    size = grid_size(ranges)
    if algo != "exhaustive":
        if find_spec("hyperopt") is None:
            raise SettingsError(
                f'algo: {algo} needs hyperopt, which is not installed; pip install ".[tune]", or use algo: exhaustive'
            )
        asked = max_evals or USUAL
        return asked if size is None else min(asked, size)
    endless = [f"{r.name} ({r.kind})" for r in ranges if not r.grid]
    if endless or size is None:
        raise SettingsError(
            f"algo: exhaustive tries every value, but {', '.join(endless)} has infinitely many; expected a choice or "
            "quniform, or algo: random or bayes"
        )
    if max_evals is not None and max_evals < size:
        raise SettingsError(
            f"algo: exhaustive tries all {size} points, but max_evals is {max_evals}; leave it out, or use algo: random"
        )
    return size


def search(
    ranges: Sequence[Range],
    algo: str,
    n_points: int,
    seed: int,
    judge: Callable[[Point], float | None],
    is_over: Callable[[], bool] = lambda: False,
) -> None:
    """Try points; none is judged twice.

    Args:
        n_points: how many, from :func:`check_search`.
        judge: gives the loss at a point, or None if the trial failed.
        is_over: called after each point; True ends the search.
    """
    if algo != "exhaustive":
        _hyperopt_search(ranges, algo, n_points, seed, judge, is_over)
        return
    for values in itertools.product(*(r.grid for r in ranges)):
        judge({r.name: value for r, value in zip(ranges, values, strict=True)})
        if is_over():
            return


def _hyperopt_search(
    ranges: Sequence[Range],
    algo: str,
    n_points: int,
    seed: int,
    judge: Callable[[Point], float | None],
    is_over: Callable[[], bool],
) -> None:
    import hyperopt
    from hyperopt import rand, tpe

    known: dict[str, float | None] = {}

    def try_point(drawn: Mapping[str, float]) -> dict[str, object]:
        point = {r.name: r.value(drawn[r.name]) for r in ranges}
        key = json.dumps(point, sort_keys=True, default=str)
        if key not in known:
            known[key] = judge(point)
        loss = known[key]
        if loss is None or not math.isfinite(loss):
            return {"status": hyperopt.STATUS_FAIL}
        return {"status": hyperopt.STATUS_OK, "loss": float(loss)}

    first = min(_RANDOM_FIRST, max(3, n_points // 4))
    suggest = rand.suggest if algo == "random" else partial(tpe.suggest, n_startup_jobs=first)
    with warnings_alone("hyperopt"), _no_winner_needed(hyperopt):
        hyperopt.fmin(
            try_point,
            {r.name: _dimension(r) for r in ranges},
            algo=suggest,
            # a drawn point may have been judged before
            max_evals=10 * n_points,
            rstate=np.random.default_rng(seed),
            early_stop_fn=lambda trials, *told: (len(known) >= n_points or is_over(), told),
            verbose=False,
        )


def _dimension(r: Range) -> Any:
    """hyperopt's node for a range; see :meth:`Range.value`."""
    from hyperopt import hp

    if r.kind == "choice":
        return hp.choice(r.name, list(range(len(r.values))))
    low, high = r.bounds
    if r.kind == "uniform":
        return hp.uniform(r.name, low, high)
    if r.kind == "quniform":
        half = r.values[2] / 2  # so that the first and the last multiple are as likely as the others
        return hp.quniform(r.name, low - half, high + half, r.values[2])
    return hp.loguniform(r.name, math.log(low), math.log(high))


@contextmanager
def _no_winner_needed(hyperopt: ModuleType) -> Iterator[None]:
    """If every trial failed, leave it to the caller to say so, who knows why."""
    try:
        yield
    except hyperopt.exceptions.AllTrialsFailed:
        return
