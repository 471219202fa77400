"""What the commands of APANext tell: texts for people, fields for programs (``docs/json.md``)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

if TYPE_CHECKING:
    from recbole_apa.next_item.run.add import NextItemAddition
    from recbole_apa.next_item.run.forget import ForgetResult
    from recbole_apa.next_item.run.opened import NextItemRun


_AT_ONCE = {
    True: "at once: no adapter is trained; what is to be trained again is left to --catch_up",
    False: "at once: this run has heads alone, which are solved again in any case: nothing is left for later",
}


def run_fields(made: "NextItemRun") -> dict[str, object]:
    """A training, or an evaluation."""
    return {
        "dataset": made.options.dataset,
        "run": str(made.folder),
        "figures": made.figures,
        "without_adapter": made.without_adapter,
        "to_make": made.later or None,
    }


def forget_text(found: "ForgetResult") -> str:
    """A request: what it changed, or would change."""
    lines = [f"left out: {line}" for line in found.left]
    if found.change is not None:
        shards = ", ".join(f"{k:03d}" for k in found.change.shards) or "none"
        lines.append(
            f"{found.n_interactions} interactions to forget change the sequences of {len(found.change.users)} of "
            f"{found.n_users} users, {len(found.change.gone)} of whom go; shards whose sums and heads change: {shards} "
            f"({len(found.change.shards)} of {found.n_shards})"
        )
    lines += _slices(found.slices)
    told = "its last steps were missing, and are done now"
    lines += [f"line {position} of the ledger: {told}" for position in found.last_steps]
    added = [position for position in found.finished_additions if position not in found.last_steps]
    lines += [f"line {position} of the ledger: an addition that was waiting" for position in added]
    lines += [_AT_ONCE[found.has_adapters]] if found.is_at_once else []
    if found.is_dry:
        return "\n".join([*lines, "nothing was changed (--dry_run)"])
    if found.change is not None:
        lines.append(f"forgotten in {found.seconds:.1f} s, evaluation included")
    later = found.run.later if found.run is not None else ""
    if found.caught_up is not None:
        seconds = "" if found.change is not None else f" ({found.seconds:.1f} s, evaluation included)"
        lines.append(_caught_up(found.caught_up, is_whole=not later) + seconds)
    lines += [later] if later else []
    return "\n".join([*lines, *(f"certificate: {path}" for path in found.certificates)])


def _slices(slices: Mapping[str, Mapping[str, int]]) -> list[str]:
    kept = [f"{shard} {told['kept']} of {told['total']}" for shard, told in slices.items()]
    return [f"slices whose training stays as it was, of these shards: {', '.join(kept)}"] if kept else []


def _caught_up(shards: Sequence[int], is_whole: bool) -> str:
    named = ", ".join(f"{k:03d}" for k in shards) or "none"
    return f"caught up: adapters of shards {named} were trained" + ", nothing is missing any more" * is_whole


def forget_fields(found: "ForgetResult") -> dict[str, object]:
    """A request, with the numbers of users and not their names."""
    change = found.change
    return {
        "n_interactions": found.n_interactions,
        "n_users_changed": 0 if change is None else len(change.users),
        "n_users_gone": 0 if change is None else len(change.gone),
        "shards": [] if change is None else list(change.shards),
        "n_shards": found.n_shards,
        "left_out": found.left,
        "is_dry_run": found.is_dry,
        "seconds": found.seconds,
        "certificates": found.certificates,
        "finished_additions": found.finished_additions,
        "last_steps": found.last_steps,
        "without_adapter": None if found.run is None else found.run.without_adapter,
        "slices": found.slices,
        "to_make": None if found.run is None or not found.run.later else found.run.later,
        "caught_up": None if found.caught_up is None else {"shards": found.caught_up},
    }


def add_text(found: "NextItemAddition") -> str:
    """An addition: what it changed, or would change."""
    change, would = found.change, "" if found.position is not None else "would "
    lines = [forget_text(found.finished)] if found.finished is not None else []
    lines.append(
        f"{found.n_rows} rows {would}join: {len(change.users) - len(change.new)} of {found.n_users} users grow and "
        f"{len(change.new)} are new; shards whose sums and heads change: {len(change.shards)} of {found.n_shards}"
    )
    lines += _slices(found.slices)
    if found.position is None:
        return "\n".join([*lines, "nothing was changed (--dry_run)"])
    lines += [_caught_up(found.caught_up, is_whole=True)] if found.caught_up is not None else []
    lines.append(f"joined in {found.seconds:.1f} s, evaluation included; line {found.position} of the ledger")
    return "\n".join([*lines, *_before_and_after(found.figures or {})])


def _before_and_after(figures: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = sorted({name for told in figures.values() for name in told if name.startswith("test.")})
    rows = [[name, *(f"{told[name]:.4f}" if name in told else "" for told in figures.values())] for name in names]
    head = ("held-out items: each user's last", *figures)
    return [tabulate(rows, head, disable_numparse=True)] if rows else []


def add_fields(found: "NextItemAddition") -> dict[str, object]:
    """An addition, with the numbers of users and not their names."""
    change = found.change
    return {
        "n_rows": found.n_rows,
        "n_users_changed": len(change.users),
        "n_users_new": len(change.new),
        "shards": list(change.shards),
        "n_shards": found.n_shards,
        "slices": found.slices,
        "is_dry_run": found.position is None,
        "ledger_position": found.position,
        "figures": found.figures or {},
        "seconds": found.seconds,
        "caught_up": None if found.caught_up is None else {"shards": found.caught_up},
        "certificates": [] if found.finished is None else found.finished.certificates,
    }
