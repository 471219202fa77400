"""The results of the unlearning stage as text for a person."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from recbole_apa.runs.names import REPORT
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.outcome import UnlearnResult
from recbole_apa.unlearning.plan import plan_text
from recbole_apa.unlearning.statistics_check import ALL, StatisticsDone

if TYPE_CHECKING:
    from recbole_apa.unlearning.outcome import Outcome


def figures_text(figures: Mapping[str, Mapping[str, float | None]]) -> str:
    """A table of figures before and after.

    Args:
        figures: title -> ``before`` and ``after``.
    """

    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    body = [[title, cell(pair["before"]), cell(pair["after"])] for title, pair in figures.items()]
    return tabulate(body, ["", "before", "after"], disable_numparse=True)


def outcome_text(outcome: "Outcome", shown: Callable[[Path], str], has_caught_up: bool = False) -> str:
    """The before / after table and the time taken, for a terminal.

    Args:
        shown: gives a path for display.
        has_caught_up: what it left was trained by the same command.
    """
    plan = outcome.plan
    rewritten = sum(a.change == "rewritten" for a in plan.affected)
    n_trained = outcome.n_trained
    lines = [figures_text(outcome.figures)] if outcome.figures else []
    done = "trained again" if outcome.method == EXACT else f"moved by {outcome.method}, which is approximate"
    of_shards = f"; {n_trained} of {plan.n_shards} shards {done}" if outcome.served is None else ""
    lines.append(
        f"{plan.n_interactions} interactions forgotten; {len(plan.affected)} samples affected, {rewritten} of them "
        f"rewritten{of_shards}"
    )
    if outcome.slices and outcome.served is None:
        lines.append(f"{outcome.slices['trained']} of {outcome.slices['total']} slices trained again")
    if outcome.served is not None:
        lines.append("carried out at once, and caught up since" if has_caught_up else served_text(outcome))
    if outcome.statistics:
        lines.append(statistics_text(outcome.statistics))
    if outcome.served is not None:
        lines.append(f"{outcome.seconds:.1f} s, none of it training")
    elif outcome.full_seconds:
        lines.append(f"{outcome.seconds:.1f} s of training; {ratio_text(outcome)}")
    lines += [f"certificate: {shown(path.with_suffix('.html'))}" for path in outcome.certificates]
    return "\n".join(lines)


def served_text(outcome: "Outcome") -> str:
    """What a request at once left."""
    assert outcome.served is not None
    parts = [f"{told['served']} of {told['total']} slices of shard {k}" for k, told in outcome.served.items()]
    served = f"{', '.join(parts)}, and all slices of any other shard" if parts else "all slices of all shards"
    lines = [f"at once: nothing was trained; served are {served}"]
    if outcome.serves_nothing:
        lines.append("no adapter and no evidence is left: the run serves nothing until it has caught up")
    return "\n".join([*lines, "figures and report are to be made: --catch_up"])


def statistics_text(done: StatisticsDone) -> str:
    """What became of collaborative statistics."""
    was, of = done.rows["before"], done.users["before"]
    before = "" if was is None else f"{was:,} interactions of {of:,} users before, "
    what = "" if done.compared == ALL else "changes in "
    return (
        f"collaborative statistics ({done.how}): {before}{done.rows['after']:,} of {done.users['after']:,} now; "
        f"{what}interactions and their values of {done.items_compared:,} items were compared with the new index"
    )


def ratio_text(outcome: "Outcome") -> str:
    """What a request's time is compared with, by name: everything that the run holds, which was timed when it was
    trained; a single model without shards was not."""
    assert outcome.full_seconds is not None
    says = f"the first training of the whole state took {outcome.full_seconds:.1f} s"
    if not outcome.n_trained or not outcome.seconds:
        return says
    ratio = outcome.full_seconds / outcome.seconds
    return f"{says}; ratio to retraining everything that this run holds: {ratio:.2f}"


def result_text(result: UnlearnResult) -> str:
    """The result of :func:`unlearn` for a person; it names samples, so it is printed and never logged."""
    has_caught_up = result.caught_up is not None
    parts = [f"finished; certificate: {result.shown(path.with_suffix('.html'))}" for path in result.finished]
    parts += [f"finished: the addition in line {line} of the ledger" for line in result.additions]
    if result.caught_up:
        done = result.caught_up
        shards = ", ".join(f"{k:03d}" for k in done.trained) or "none"
        parts.append(f"caught up: {done.n_slices} slices trained, of shards {shards}; {done.seconds:.1f} s of training")
        parts.append(f"figures and report: {done.result.store.place}/{REPORT}")
    parts += [f"left out: {text}" for text in result.left]
    if result.plan:
        parts.append(plan_text(result.plan))
    parts += [outcome_text(outcome, result.shown, has_caught_up) for outcome in result.outcomes]
    return "\n".join(parts)
