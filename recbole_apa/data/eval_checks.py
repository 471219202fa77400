"""Check that the split, the mode and the metrics in the options are valid and fit together."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from recbole_apa.core.options import nearest

_KEYS = ("split", "order", "group_by", "mode")
_MODE = re.compile(r"labeled|full|(uni|pop)[1-9]\d*")
_LEFT_OUT = ("valid_and_test", "valid_only", "test_only")
RANKING_METRICS = {"metrics": ["Recall", "NDCG", "MRR"], "valid_metric": "NDCG@10", "topk": [10]}
"""The metrics for ranking candidates, unless the options name others."""
_RECBOLES_MODE = "full"
"""The mode if ``eval_args`` names none."""


def is_ranking(eval_args: object) -> bool:
    """Whether the mode in ``eval_args`` ranks candidates."""
    mode = eval_args.get("mode", "labeled") if isinstance(eval_args, Mapping) else "labeled"
    return "labeled" not in (mode.values() if isinstance(mode, Mapping) else [mode])


def eval_problems(eval_args: object) -> list[str]:
    """What is wrong with ``eval_args``."""
    if not isinstance(eval_args, Mapping):
        return [f"eval_args: found {eval_args!r}, expected e.g. {{split: {{RS: [0.8, 0.1, 0.1]}}, order: TO}}"]
    out = []
    for key in eval_args:
        if key not in _KEYS:
            near = nearest(str(key), _KEYS, 0.6)
            out.append(
                f"eval_args.{key}: expected one of {', '.join(_KEYS)}" + (f"; did you mean {near}?" if near else "")
            )
    if "split" in eval_args and not _is_split(eval_args["split"]):
        out.append(
            f"eval_args.split: found {eval_args['split']!r}, expected {{RS: [0.8, 0.1, 0.1]}} or {{TS: ...}}, three "
            f"shares of at least 0, the first above 0, or {{LS: one of {', '.join(_LEFT_OUT)}}}"
        )
    if eval_args.get("order", "TO") not in ("RO", "TO"):
        out.append(f"eval_args.order: found {eval_args['order']!r}, expected TO (time) or RO (random)")
    if eval_args.get("group_by") not in (None, "user", "none", "None"):
        out.append(f"eval_args.group_by: found {eval_args['group_by']!r}, expected user or null")
    wrong = [mode for mode in modes_of(eval_args) if not isinstance(mode, str) or not _MODE.fullmatch(mode)]
    if wrong:
        out.append(f"eval_args.mode: found {wrong[0]!r}, expected labeled, full, uniN or popN, e.g. uni100")
    return out


def modes_of(eval_args: Mapping[str, object]) -> list[Any]:
    """The modes for validation and test."""
    mode = eval_args.get("mode", _RECBOLES_MODE)
    return list(mode.values()) or [_RECBOLES_MODE] if isinstance(mode, Mapping) else [mode]


def figure_names(metrics: Sequence[str], topk: int | Sequence[int]) -> list[str]:
    """Names of the figures that the metrics produce, as ``valid_metric`` may name them."""
    ks = [topk] if isinstance(topk, int) else topk
    return [
        name for metric in metrics for name in ([metric] if _is_of_labels(metric) else [f"{metric}@{k}" for k in ks])
    ]


def judging_problems(values: Mapping[str, Any]) -> list[str]:
    """What does not fit together among ``eval_args.mode``, ``metrics``, ``topk`` and ``valid_metric``, whose types are
    already checked."""
    from recbole.evaluator.register import metric_types

    metrics = [values["metrics"]] if isinstance(values["metrics"], str) else list(values["metrics"])
    kinds = {_is_of_labels(metric) for metric in metrics}
    if len(kinds) > 1 or any(metric.lower() not in metric_types for metric in metrics):
        return []  # RecBole rejects these itself
    modes = modes_of(values["eval_args"])
    labeled = [mode == "labeled" for mode in modes]
    shown = ", ".join(dict.fromkeys(modes))
    if any(labeled) and not all(labeled):
        return [f"eval_args.mode: found {shown}, expected labeled for both validation and test, or for neither"]
    if all(labeled) and True not in kinds:
        return [
            f"metrics: found {', '.join(metrics)}, which rank candidates, and eval_args.mode: labeled, which has none; "
            "expected e.g. --eval_args.mode=uni100, or metrics of labels: AUC, LogLoss, MAE, RMSE"
        ]
    if not any(labeled) and True in kinds:
        return [
            f"metrics: found {', '.join(metrics)}, which score labels, and eval_args.mode: {shown}, which ranks "
            "candidates; expected Recall, NDCG, MRR, ..., or --eval_args.mode=labeled"
        ]
    names = figure_names(metrics, values["topk"])
    if values["valid_metric"].lower() not in [name.lower() for name in names]:
        return [
            f"valid_metric: found {values['valid_metric']!r}, expected one of the given metrics: {', '.join(names)}"
        ]
    return []


def _is_of_labels(metric: str) -> bool:
    from recbole.evaluator.register import metric_types
    from recbole.utils import EvaluatorType

    return metric_types.get(metric.lower()) == EvaluatorType.VALUE


def _is_split(split: object) -> bool:
    if not isinstance(split, Mapping) or len(split) != 1:
        return False
    ((kind, shares),) = split.items()
    if kind == "LS":
        return shares in _LEFT_OUT
    if kind not in ("RS", "TS") or not isinstance(shares, list) or len(shares) != 3:
        return False
    return all(isinstance(s, (int, float)) and math.isfinite(s) and s >= 0 for s in shares) and shares[0] > 0
