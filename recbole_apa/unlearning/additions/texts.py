"""Additions as text for a person; it counts and names nobody."""

from typing import TYPE_CHECKING

from recbole_apa.data.splits import SPLITS
from recbole_apa.unlearning.texts import figures_text

if TYPE_CHECKING:
    from recbole_apa.unlearning.additions.result import AdditionPlan, AddResult


def plan_text(plan: "AdditionPlan") -> str:
    """What an addition brings and trains."""
    lines = [
        f"{_count(plan.n_rows, 'interaction')} to add; among them {_count(plan.n_users, 'new user')} and "
        f"{_count(plan.n_items, 'new item')}"
    ]
    if plan.n_readmitted:
        verb = "is" if plan.n_readmitted == 1 else "are"
        lines.append(f"{_count(plan.n_readmitted, 'interaction')} of something forgotten {verb} readmitted")
    filtered = plan.n_rows - sum(plan.roles.values())
    lines.append(
        "split: "
        + ", ".join(f"{plan.roles.get(split, 0)} {split}" for split in SPLITS)
        + (f"; {filtered} in none, as a filter drops them" if filtered else "")
    )
    lines.append("new samples: " + ", ".join(f"{plan.samples.get(split, 0)} {split}" for split in SPLITS))
    lines.append(_shards_text(plan))
    if plan.estimated_seconds is not None:
        lines.append(f"estimated time, evaluation apart: {plan.estimated_seconds:.0f} s")
    return "\n".join(lines)


def _shards_text(plan: "AdditionPlan") -> str:
    if not plan.shards:
        return f"no new training sample: none of {plan.n_shards} shards is trained"
    shards = ", ".join(f"{shard:03d} ({_count(n, 'sample')})" for shard, n in sorted(plan.shards.items()))
    return (
        f"shards to train on: {shards}; {len(plan.shards)} of {plan.n_shards}, each after what it has learnt, as piece "
        f"{plan.piece}"
    )


def result_text(result: "AddResult") -> str:
    """The result of :func:`~recbole_apa.unlearning.additions.stage.add`."""
    parts = [f"finished first: line {line} of the ledger" for line in result.finished]
    parts += [f"certificate: {result.shown(path.with_suffix('.html'))}" for path in result.certificates]
    if result.plan:
        parts.append(plan_text(result.plan))
    if result.figures:
        parts.append(figures_text(result.figures))
    if result.position is not None and result.plan is None:
        parts.append(f"added: line {result.position} of the ledger, which an earlier call began")
    elif result.position is not None:
        parts.append(f"added: line {result.position} of the ledger; {result.seconds:.1f} s of training")
    elif result.plan:
        parts.append("nothing was added: this is the plan alone")
    return "\n".join(parts)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"
