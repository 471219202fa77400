"""The command line's unlearning stage: requests, audit, verification."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.evidence.exactness import INHERITED
from recbole_apa.unlearning.requests.demands import shortened

NAMES = frozenset({"forget_users", "forget_items", "forget_interactions"})
"""Options that name what is to be forgotten."""
COLUMNS, IDS = "unlearn_columns", "unlearn_ids"
_MANNERS = ("exactness", "unlearn_method", "other_machine", "dry_run", "skip_unknown", COLUMNS, IDS)
"""Options that say how a request is carried out."""


def is_asked(stage: Mapping[str, Any]) -> bool:
    """Whether something is to be forgotten, or a request that waits to be finished.

    Raises:
        SettingsError: an empty name, or options that come to nothing: a request must not be dropped without a word.
    """
    requests = [name for name in (*sorted(NAMES), "unlearn") if name in stage]
    for name in requests:
        if not str(stage[name]).strip("[] ,"):
            raise SettingsError(
                f"--{name}: found nothing after it (an empty variable?); expected what is to be forgotten"
            )
    asked = bool(requests) or bool(stage.get("resume"))
    proofs = [name for name in ("audit", "verify") if stage.get(name)]
    if asked and proofs:
        raise SettingsError(f"--{proofs[0]} does not go with a request; give one command for each")
    if requests and stage.get("allow_pending"):
        raise SettingsError("--allow_pending does not go with a request: it evaluates the old state")
    manners = [name for name in _MANNERS if stage.get(name)]
    fixed = [name for name in manners if name != "other_machine"]
    if fixed and asked and not requests:
        raise SettingsError(
            f"--{fixed[0]} does not go with --resume alone: what waits is carried out as it was asked for"
        )
    if manners and not asked:
        raise SettingsError(
            f"--{manners[0]}: found no request; expected together with --unlearn=FILE, --forget_users, ..."
        )
    return asked


def waits(run_dir: str | None) -> bool:
    """Whether the very command was given before, and was interrupted while it forgot."""
    from recbole_apa.runs.ledger import Ledger
    from recbole_apa.runs.remote.working_copy import working_folder
    from recbole_apa.runs.store import RunStore

    if not run_dir:
        return False
    with working_folder(run_dir, "reading", writes=False) as folder:
        store = RunStore(folder)
        return store.manifest_path.is_file() and bool(Ledger(folder, store.manifest()["salt"]).waiting())


def read_stage(stage: Mapping[str, Any]) -> dict[str, Any]:
    """The request's own arguments; a malformed one is refused here already.

    Raises:
        RequestError: the file or a name is malformed.
        SettingsError: columns without a file, or such that contradict each other.
    """
    from recbole_apa.unlearning.requests.ids import map_ids
    from recbole_apa.unlearning.requests.lookup import read_demands

    file, told = stage.get("unlearn"), {name: stage[name] for name in (COLUMNS, IDS) if name in stage}
    for name, value in told.items():
        if not file:
            raise SettingsError(f"--{name}: expected together with --unlearn=FILE, whose columns and ids it names")
        if not isinstance(value, Mapping):
            raise SettingsError(f"--{name}: found {value!r}, expected e.g. {{user_id: ..., item_id: ...}}")
    if file:
        map_ids(read_demands(Path(file), told.get(COLUMNS)), told.get(IDS))
    return {
        "requests": file,
        "users": words(stage, "forget_users"),
        "items": words(stage, "forget_items"),
        "interactions": [_interaction(word) for word in words(stage, "forget_interactions")],
        **{name.removeprefix("unlearn_"): value for name, value in told.items()},
    }


def _interaction(word: str) -> list[str]:
    """``user:item``, or ``user:item:time``."""
    parts = word.split(":")
    if len(parts) == 2 or (len(parts) == 3 and _is_number(parts[2])):
        return parts
    raise RequestError(
        f"--forget_interactions: found {shortened(word)}, expected (user, item) as user:item, e.g. 12:50; names that "
        "hold colons or commas go into a request file with the columns user_id and item_id: --unlearn=FILE"
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def words(stage: Mapping[str, Any], name: str) -> list[str]:
    """The names of an option, which commas separate."""
    return [word for word in stage.get(name, "").strip("[]").split(",") if word.strip()]


def carry_out(folder: Any, stage: Mapping[str, Any], changes: dict[str, Any]) -> None:
    """Carry out a request on a run, and say what came of it."""
    from recbole_apa.unlearning.stage import unlearn
    from recbole_apa.unlearning.texts import result_text

    result = unlearn(
        folder,
        **read_stage(stage),
        exactness=stage.get("exactness", INHERITED),
        method=stage.get("unlearn_method", "exact"),
        other_machine=stage.get("other_machine", "refuse"),
        skip_unknown=bool(stage.get("skip_unknown")),
        dry_run=bool(stage.get("dry_run")),
        config_dict=changes,
    )
    print(result_text(result))


def prove(folder: str, stage: Mapping[str, Any], changes: dict[str, Any]) -> int:
    """Audit and verify; the exit status."""
    holds = True
    if stage.get("audit"):
        from recbole_apa.unlearning.proof.quick import audit

        audited = audit(folder, changes)
        print("checked: " + "; ".join(audited.checked))
        for sign, lines in (("notice", audited.notices), ("FOUND", audited.findings)):
            for line in lines:
                print(f"{sign}: {line}")
        print(f"the audit {'holds' if audited.holds else 'does not hold'}; ledger head {audited.head}")
        holds = audited.holds
    if stage.get("verify"):
        from recbole_apa.unlearning.proof.full import verify

        verified = verify(folder, changes)
        print(
            "\n".join(["compared: " + ", ".join(verified.compared), *(f"DIFFERS: {d}" for d in verified.differences)])
        )
        says = (
            "equal, bit for bit, to training from scratch" if verified.holds else "not what training from scratch gives"
        )
        if verified.machines:
            print(verified.machines)
        if not verified.holds and not verified.comparable:
            says = "not comparable bit for bit on this kind of machine; verify it on one like the run's"
        print(f"the run is {says} ({verified.seconds:.1f} s)")
        if verified.means:
            print(f"from scratch means here: {verified.means}")
        holds = holds and verified.holds
    return 0 if holds else 1
