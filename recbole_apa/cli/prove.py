"""``--audit`` and ``--verify``: prove a finished run, quickly or by training again."""

from collections.abc import Mapping

from recbole_apa.cli.stages import ProveOptions


def prove(folder: str, asked: ProveOptions, changes: Mapping[str, object]) -> int:
    """Audit and verify.

    Returns:
        the exit status: 0 if the proof holds, 1 if not.

    Raises:
        RunError: the run cannot be verified as it is.
    """
    holds = True
    if asked.audit:
        from recbole_apa.unlearning.proof.quick import audit

        audited = audit(folder, changes)
        print("checked: " + "; ".join(audited.checked))
        for sign, lines in (("notice", audited.notices), ("FOUND", audited.findings)):
            for line in lines:
                print(f"{sign}: {line}")
        print(f"the audit {'holds' if audited.holds else 'does not hold'}; ledger head {audited.head}")
        holds = audited.holds
    if asked.verify:
        from recbole_apa.unlearning.proof.full import verify

        verified = verify(folder, changes)
        print(
            "\n".join(["compared: " + ", ".join(verified.compared), *(f"DIFFERS: {d}" for d in verified.differences)])
        )
        says = (
            "equal, bit for bit, to training from scratch" if verified.holds else "not what training from scratch gives"
        )
        if verified.plugins:
            print(verified.plugins)
        if verified.machines:
            print(verified.machines)
        if not verified.holds and not verified.comparable:
            says = "not comparable bit for bit on this kind of machine; verify it on one like the run's"
        print(f"the run is {says} ({verified.seconds:.1f} s)")
        if verified.means:
            print(f"from scratch means here: {verified.means}")
        holds = holds and verified.holds
    return 0 if holds else 1
