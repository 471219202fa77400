"""The fields of ``--json``, result by result; ``docs/json.md`` describes each, and a test compares the two."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from recbole_apa.comparison.report.model_adds import ModelAdds
    from recbole_apa.comparison.report.slices import Slice
    from recbole_apa.comparison.row import Row
    from recbole_apa.next_item.run.proof import NextItemAudit
    from recbole_apa.pipeline.build import RunResult
    from recbole_apa.pipeline.predictions import Prediction
    from recbole_apa.tuning.study import Tuning
    from recbole_apa.unlearning.additions import AdditionPlan, AddResult
    from recbole_apa.unlearning.catching_up import CaughtUp
    from recbole_apa.unlearning.outcome import Outcome, UnlearnResult
    from recbole_apa.unlearning.plan import Plan
    from recbole_apa.unlearning.proof.full import VerifyResult
    from recbole_apa.unlearning.proof.quick import AuditResult


def train_fields(model: str, dataset: str, made: "RunResult") -> dict[str, object]:
    """A training; RecBole's models have no run folder."""
    place = None if made.run_dir is None else made.store.place
    return {"model": model, "dataset": dataset, "run": place, "metrics": made.metrics}


def audit_fields(found: "AuditResult | NextItemAudit") -> dict[str, object]:
    """An audit."""
    return {
        "holds": found.holds,
        "findings": found.findings,
        "notices": found.notices,
        "checked": found.checked,
        "ledger_head": found.head,
    }


def verify_fields(found: "VerifyResult") -> dict[str, object]:
    """A verification; seconds are of training from scratch."""
    return {"holds": found.holds, **asdict(found)}


def unlearn_fields(found: "UnlearnResult") -> dict[str, object]:
    """A request, or the plan of one."""
    return {
        "plan": plan_fields(found.plan) if found.plan else None,
        "left_out": found.left,
        "outcomes": [_outcome_fields(outcome) for outcome in found.outcomes],
        "finished_additions": found.additions,
        "caught_up": _caught_up_fields(found.caught_up) if found.caught_up else None,
        "certificates": [found.shown(path) for path in found.certificates],
    }


def plan_fields(plan: "Plan") -> dict[str, object]:
    """A plan, with the numbers of affected samples and not their names."""
    counts = Counter((a.split, a.change) for a in plan.affected)
    affected: dict[str, dict[str, int]] = {}
    for (split, change), n in sorted(counts.items()):
        affected.setdefault(split, {})[change] = n
    return {
        "n_interactions": plan.n_interactions,
        "exactness": plan.exactness,
        "affected": affected,
        "shards": plan.shards,
        "moved_shards": plan.moved,
        "n_shards": plan.n_shards,
        "n_train_samples": plan.n_train_samples,
        "n_kept": plan.n_kept,
        "slices": {f"{shard:03d}": count._asdict() for shard, count in plan.slices.items()},
        "n_slices": plan.n_slices,
        "seconds": plan.seconds,
        "full_seconds": plan.full_seconds,
        "models_seconds": plan.models_seconds,
    }


def _outcome_fields(outcome: "Outcome") -> dict[str, object]:
    return {
        "ledger_lines": outcome.requests,
        "method": outcome.method,
        "plan": plan_fields(outcome.plan),
        "figures": outcome.figures,
        "seconds": outcome.seconds,
        "full_seconds": outcome.full_seconds,
        "statistics": asdict(outcome.statistics) if outcome.statistics else None,
        "slices": outcome.slices,
        "served": outcome.served,
    }


def _caught_up_fields(found: "CaughtUp") -> dict[str, object]:
    return {"shards": found.trained, "slices_trained": found.n_slices, "seconds": found.seconds}


def add_fields(found: "AddResult") -> dict[str, object]:
    """An addition, or the plan of one."""
    return {
        "plan": _addition_fields(found.plan) if found.plan else None,
        "ledger_line": found.position,
        "finished": found.finished,
        "certificates": [found.shown(path) for path in found.certificates],
        "figures": found.figures,
        "seconds": found.seconds,
    }


def _addition_fields(plan: "AdditionPlan") -> dict[str, object]:
    return {**asdict(plan), "n_train_samples": plan.n_train_samples}


def predictions_fields(found: "Sequence[Prediction]") -> list[dict[str, object]]:
    """Predictions, in the order asked."""
    return [asdict(prediction) for prediction in found]


def compare_fields(
    rows: "Sequence[Row]",
    folder: "Path",
    problems: Sequence[str],
    slices: "Sequence[Slice]" = (),
    model_adds: "Sequence[ModelAdds]" = (),
) -> dict[str, object]:
    """A comparison. The scores of single samples are in the rows' files alone."""
    told = ("method", "seed", "status", "reason", "figures", "faults")
    return {
        "folder": folder,
        "problems": problems,
        "rows": [{name: getattr(row, name) for name in told} for row in rows],
        "slices": [asdict(part) for part in slices],
        "model_adds": [asdict(found) for found in model_adds],
    }


def tune_fields(found: "Tuning", best_file: "Path") -> dict[str, object]:
    """A search."""
    return {
        "folder": found.folder,
        "best": found.best.number,
        "best_file": best_file,
        "trials": [asdict(trial) for trial in found.trials],
    }
