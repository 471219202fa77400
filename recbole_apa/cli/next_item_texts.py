"""What the commands of APANext tell: texts for people, fields for programs (``docs/json.md``)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recbole_apa.next_item.run.forget import ForgetResult
    from recbole_apa.next_item.run.opened import NextItemRun
    from recbole_apa.next_item.run.proof import NextItemAudit, NextItemVerification


def run_fields(made: "NextItemRun") -> dict[str, object]:
    """A training, or an evaluation."""
    return {"dataset": made.options.dataset, "run": str(made.folder), "figures": made.figures}


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
    if found.is_dry:
        return "\n".join([*lines, "nothing was changed (--dry_run)"])
    if found.change is not None:
        lines.append(f"forgotten in {found.seconds:.1f} s, evaluation included")
    return "\n".join([*lines, *(f"certificate: {path}" for path in found.certificates)])


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
    }


def audit_text(found: "NextItemAudit") -> str:
    """An audit."""
    lines = [f"checked: {line}" for line in found.checked]
    lines += [f"notice: {line}" for line in found.notices]
    lines += [f"FOUND: {line}" for line in found.findings]
    head = f"; ledger head {found.head}" if found.head else ""
    lines.append(f"the audit {'holds' if found.holds else 'does not hold'}{head}")
    return "\n".join(lines)


def verify_text(found: "NextItemVerification") -> str:
    """A verification."""
    lines = ["compared: " + ", ".join(found.compared), *(f"DIFFERS: {name}" for name in found.differences)]
    says = "equal, bit for bit, to training from scratch" if found.holds else "not what training from scratch gives"
    lines += [found.machine] if found.machine else []
    lines += [f"the run is {says} ({found.seconds:.1f} s)", f"from scratch means here: {found.means}"]
    return "\n".join(lines)


def verify_fields(found: "NextItemVerification") -> dict[str, object]:
    """A verification; seconds are of training from scratch."""
    return {
        "holds": found.holds,
        "compared": found.compared,
        "differences": found.differences,
        "means": found.means,
        "machine": found.machine,
        "seconds": found.seconds,
    }
