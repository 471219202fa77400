"""What ``--json`` prints: one object on standard output, described in ``docs/quickstart.md``."""

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recbole_apa.unlearning.exact import Outcome
    from recbole_apa.unlearning.plan import Plan
    from recbole_apa.unlearning.proof.full import VerifyResult
    from recbole_apa.unlearning.proof.quick import AuditResult
    from recbole_apa.unlearning.stage import UnlearnResult

FORMAT = 1
"""Changes when a field is renamed, removed or given another meaning; fields may be added."""


def print_json(**parts: object) -> None:
    """Print the results of a command, by name."""
    print(json.dumps({"format": FORMAT, **parts}, indent=1, allow_nan=False))


def audit_fields(found: "AuditResult") -> dict[str, object]:
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
        "seconds": plan.seconds,
        "full_seconds": plan.full_seconds,
    }


def _outcome_fields(outcome: "Outcome") -> dict[str, object]:
    return {
        "ledger_lines": outcome.requests,
        "method": outcome.method,
        "plan": plan_fields(outcome.plan),
        "figures": outcome.figures,
        "seconds": outcome.seconds,
        "full_seconds": outcome.full_seconds,
    }
