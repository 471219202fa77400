"""Everything scored at the end of a run: each adapter alone, the aggregations, the trivial rules."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from recbole_apa.core.errors import RunError
from recbole_apa.core.progress import progress
from recbole_apa.data.dataset import APADataset
from recbole_apa.evaluation.metrics import user_numbers
from recbole_apa.evaluation.scored_split import ScoredSplit
from recbole_apa.evaluation.simple_rules import trivial_scores
from recbole_apa.model.apa import APA

AGGREGATIONS = ("decomposition", "non_decomposition", "prediction")


def score_split(
    model: APA,
    part: APADataset,
    title: str,
    show_progress: bool,
    known: Mapping[str, torch.Tensor] | None = None,
    wanted: Sequence[str] = AGGREGATIONS,
) -> ScoredSplit:
    """Score one split with every variant.

    Args:
        part: the split's samples.
        known: what is already computed: ``weights`` and ``alone``, (n, k), ``decomposition`` ..., (n,).
        wanted: the aggregations to score; averages of known scores of the adapters cost nothing, and are always there.
    """
    if model.rule is None:
        raise RunError("this APA has no trained adapters: call APATrainer.fit first, or load a run")
    found: dict[str, list[torch.Tensor]] = {}
    prompts, samples = model.prompts_of(part), part.samples
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
    users = user_numbers([s.user_id for s in samples])
    return ScoredSplit(np.array([s.label for s in samples]), scores, joined["weights"], users)


def chosen_aggregation(model: APA) -> tuple[str, ...]:
    """The configured aggregation alone, for :func:`score_split`."""
    return (model.settings.aggregation.aggregation,)


def chosen_scores(model: APA) -> str:
    """The name of the scores of the configured aggregation."""
    return f"aggregated.{model.settings.aggregation.aggregation}"
