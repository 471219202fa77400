"""What is measured of a method: its costs, how well its rows do, and what they keep of each test sample."""

from collections.abc import Sequence
from logging import getLogger

import numpy as np

from recbole_apa.comparison.context import ComparisonContext
from recbole_apa.comparison.method import FitFigures, Method, Scored, UnlearnFigures
from recbole_apa.comparison.methods.recbole import RecBoleMethod
from recbole_apa.comparison.row import DONE, FAILED, UNLEARN_SECONDS, Row, peak_memory
from recbole_apa.core.errors import TrainingError
from recbole_apa.evaluation.measures import SCORE_MEASURES, Taken, take
from recbole_apa.evaluation.ranking import ranking_figures


def measure(context: ComparisonContext, method: Method, names: Sequence[str], seed: int) -> list[Row]:
    """Train a method, score its rows, let it forget if requests are timed. A row that cannot be scored has failed; the
    others that the training serves are measured.

    Args:
        names: the rows of the method that are wanted.

    Raises:
        TrainingError: scores that are NaN or infinite.
    """
    scored: dict[str, Scored] = {}
    errors: dict[str, Exception] = {}
    with peak_memory() as peak:
        fitted = method.fit(seed)
        for row in names:
            try:
                scored[row] = method.score(row)
            except Exception as error:
                errors[row] = error
    out = [failed_row(row, seed, error) for row, error in errors.items()]
    if not scored:
        return out
    by_drawn = not context.ranking and not context.all_test_rows
    own_auc = method.recbole_auc() if by_drawn and isinstance(method, RecBoleMethod) else None
    forgotten = method.unlearn() if context.time_requests else None
    for row, found in scored.items():
        figures = _costs(found.fitted or fitted, found, forgotten, row, len(context.judged(context.splits["test"])))
        figures["peak_memory_bytes"] = peak[0]
        if own_auc is not None:
            figures["recbole_auc"] = own_auc
        quality, kept = _judge(context, found)
        whole = [] if found.all_scores is None else kept_scores(found.all_scores)
        out.append(Row(row, seed, DONE, "", figures | quality.figures, kept, faults=quality.faults, all_scores=whole))
    return out


def failed_row(name: str, seed: int, error: Exception) -> Row:
    """A row that has an error's text for a reason; the log says so, too."""
    says = f"{type(error).__name__}: {error}"
    getLogger().warning(f"{name}, seed {seed} failed: {says}")
    return Row(name, seed, FAILED, says)


def _costs(fitted: FitFigures, found: Scored, forgotten: UnlearnFigures | None, row: str, n: int) -> dict[str, float]:
    """What a row cost.

    Args:
        forgotten: None if no request was timed.
        n: test samples.
    """
    known: dict[str, float | None] = {
        "n_samples": n,
        "n_labels": fitted.n_labels,
        "n_stopping_labels": fitted.n_stopping,
        "n_users_unseen": found.n_users_unseen,
        "train_seconds": round(fitted.seconds, 3),
        "n_parameters": fitted.n_parameters,
        "n_shards": fitted.n_shards,
        UNLEARN_SECONDS: round(forgotten.seconds + forgotten.further.get(row, 0.0), 3) if forgotten else None,
        "unlearn_shards_hit": forgotten.n_shards_hit if forgotten else None,
        "inference_ms_per_sample": round(1000 * found.seconds / n, 3),
        "forward_passes": found.forward_passes,
        **{name: round(value, 3) for name, value in fitted.drawn.items()},
    }
    return {name: value for name, value in known.items() if value is not None}


def _judge(context: ComparisonContext, found: Scored) -> tuple[Taken, list[float]]:
    """Quality figures of a row, and what it keeps of each test sample: scores, or the ranks of liked items.

    Raises:
        TrainingError: scores that are NaN or infinite.
    """
    n_wrong = int((~np.isfinite(found.scores)).sum())
    if n_wrong:  # a rank or an AUC computed from them would look like any other
        raise TrainingError(f"{n_wrong} of {len(found.scores)} scores are NaN or infinite; try a lower learning_rate")
    if context.ranking:
        ranks = context.ranking.ranks(found.scores, context.splits["test"])
        return Taken(ranking_figures(context.ranking_config, ranks)), [int(rank) for rank in ranks]
    labels = context.labels("test")
    fitting = {name: m for name, m in SCORE_MEASURES.items() if found.is_probability or not m.needs_probabilities}
    taken = take(fitting, lambda measure: measure(labels, found.scores))
    return taken, kept_scores(found.scores)


def kept_scores(scores: np.ndarray) -> list[float]:
    """Scores as a row keeps them: not rounded, so that they have the ties and the order that were judged."""
    return np.asarray(scores, dtype=np.float64).tolist()
