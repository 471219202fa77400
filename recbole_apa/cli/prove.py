"""``--audit`` and ``--verify``: prove a finished run, quickly or by training again."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recbole_apa.cli.fields import audit_fields, verify_fields
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import ProveOptions

if TYPE_CHECKING:
    from recbole_apa.next_item.run.proof import NextItemAudit
    from recbole_apa.unlearning.proof.full import VerifyResult
    from recbole_apa.unlearning.proof.quick import AuditResult


def prove(folder: str, asked: ProveOptions, changes: Mapping[str, object], out: Output) -> int:
    """Audit and verify, and tell each result as soon as it is there.

    Returns:
        the exit status: 0 if the proof holds, 1 if not.

    Raises:
        RunError: the run cannot be verified as it is.
    """
    holds = True
    if asked.audit:
        from recbole_apa.unlearning.proof.quick import audit

        audited = audit(folder, changes)
        out.tell(audit_text(audited), audit=lambda: audit_fields(audited))
        holds = audited.holds
    if asked.verify:
        from recbole_apa.unlearning.proof.full import verify

        verified = verify(folder, changes)
        out.tell(verify_text(verified), verify=lambda: verify_fields(verified))
        holds = holds and verified.holds
    return 0 if holds else 1


def audit_text(found: "AuditResult | NextItemAudit") -> str:
    """An audit, of a run of either kind."""
    lines = ["checked: " + "; ".join(found.checked)]
    lines += [f"notice: {line}" for line in found.notices]
    lines += [f"FOUND: {line}" for line in found.findings]
    head = f"; ledger head {found.head}" if found.head else ""
    lines.append(f"the audit {'holds' if found.holds else 'does not hold'}{head}")
    return "\n".join(lines)


def verify_text(found: "VerifyResult") -> str:
    """A verification, of a run of either kind."""
    lines = ["compared: " + ", ".join(found.compared), *(f"DIFFERS: {d}" for d in found.differences)]
    lines += [text for text in (found.plugins, found.machines) if text]
    says = "equal, bit for bit, to training from scratch" if found.holds else "not what training from scratch gives"
    if not found.holds and not found.comparable:
        says = "not comparable bit for bit on this kind of machine; verify it on one like the run's"
    lines.append(f"the run is {says} ({found.seconds:.1f} s)")
    if found.means:
        lines.append(f"from scratch means here: {found.means}")
    return "\n".join(lines)
