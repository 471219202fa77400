"""Everything scored at the end of a run: each adapter alone, the aggregations, the trivial rules."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from recbole_apa.core.errors import RunError
from recbole_apa.core.progress import progress
from recbole_apa.data.dataset import APADataset
from recbole_apa.evaluation.metrics import auc, interval, mean_log_loss, resampled_aucs
from recbole_apa.evaluation.simple_rules import HISTORY_LIKE_RATE, trivial_scores
from recbole_apa.model.apa import APA

AGGREGATIONS = ("decomposition", "non_decomposition", "prediction")
RESAMPLES = 1000


@dataclass(frozen=True)
class ScoredSplit:
    """Scores of every variant on one split, by name, (n,) each."""

    labels: np.ndarray
    scores: dict[str, np.ndarray]
    weights: np.ndarray
    """The attention weight of each adapter, (n, k)."""


def score_split(
    model: APA,
    part: APADataset,
    title: str,
    show_progress: bool,
    known: Mapping[str, torch.Tensor] | None = None,
    chosen_alone: bool = False,
) -> ScoredSplit:
    """Score one split with every variant.

    Args:
        part: the split's samples.
        known: what is already computed: ``weights`` and ``alone``, (n, k), ``decomposition`` ..., (n,).
        chosen_alone: among the variants that cost a pass, score only the configured aggregation.
    """
    if model.rule is None:
        raise RunError("this APA has no trained adapters: call APATrainer.fit first, or load a run")
    found: dict[str, list[torch.Tensor]] = {}
    prompts, samples = model.prompts_of(part), part.samples
    wanted = (model.settings.aggregation.aggregation,) if chosen_alone else AGGREGATIONS
    size = model.engine.step_size
    for start in progress(range(0, len(prompts), size), title, show_progress):
        rows = slice(start, start + size)
        chunk = prompts[rows]
        row = {name: values[rows] for name, values in (known or {}).items()}
        if "weights" not in row:
            row["weights"] = model.weights(chunk)
        if "alone" not in row and "prediction" in wanted:
            row["alone"] = model.engine.adapter_scores(chunk)
        if "alone" in row:
            row["prediction"] = (row["weights"] * row["alone"]).sum(1)
        for how in wanted:
            if how not in row:
                row[how] = model.aggregate(chunk, row["weights"], how)
        for name, values in row.items():
            found.setdefault(name, []).append(values)
    joined = {name: torch.cat(parts).numpy() for name, parts in found.items()}
    scores = {f"aggregated.{how}": joined[how] for how in AGGREGATIONS if how in joined}
    if "alone" in joined:
        scores |= {f"adapters.{k:03d}": joined["alone"][:, k] for k, on in enumerate(model.rule.active.tolist()) if on}
    scores |= {f"rules.{name}": values for name, values in trivial_scores(samples, part.train_rows).items()}
    return ScoredSplit(np.array([s.label for s in samples]), scores, joined["weights"])


def split_figures(name: str, scored: ScoredSplit, seed: int) -> dict[str, float]:
    """Figures of one split under flat keys, e.g. ``test.aggregated.decomposition.auc``.

    ``auc_low`` and ``auc_high`` bound a 95 % bootstrap interval; ``auc_gain_*`` the paired difference to the share
    of likes in the history.
    """
    out: dict[str, float] = {f"{name}.n_samples": len(scored.labels), f"{name}.yes_share": float(scored.labels.mean())}
    resampled = resampled_aucs(scored.labels, scored.scores, RESAMPLES, seed)
    reference = resampled[f"rules.{HISTORY_LIKE_RATE}"]
    for variant, values in scored.scores.items():
        key = f"{name}.{variant}"
        out[f"{key}.logloss"] = mean_log_loss(scored.labels, values)
        value = auc(scored.labels, values)
        if value is None:
            continue
        out[f"{key}.auc"] = value
        out[f"{key}.auc_low"], out[f"{key}.auc_high"] = interval(resampled[variant])
        if variant.startswith("aggregated"):
            gain = resampled[variant] - reference
            out[f"{key}.auc_gain"] = value - _rule_auc(scored)
            out[f"{key}.auc_gain_low"], out[f"{key}.auc_gain_high"] = interval(gain)
    return out


def _rule_auc(scored: ScoredSplit) -> float:
    value = auc(scored.labels, scored.scores[f"rules.{HISTORY_LIKE_RATE}"])
    return float("nan") if value is None else value
