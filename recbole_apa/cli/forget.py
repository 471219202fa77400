"""Requests to forget, as a stage of a new run or on a finished one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_apa.cli.arguments import names_in
from recbole_apa.cli.fields import unlearn_fields
from recbole_apa.cli.option_facts import Use
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import ForgetOptions, ProveOptions, names_for
from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.evidence.exactness import INHERITED
from recbole_apa.unlearning.requests.demands import shortened

if TYPE_CHECKING:
    from recbole_apa.pipeline.build import RunResult

_NAMES = names_for(Use.NAMES_DATA, ForgetOptions)
_MANNERS = names_for(Use.MANNER, ForgetOptions)
_AS_MADE = frozenset(names_for(Use.AS_MADE, ForgetOptions))


def is_asked(request: ForgetOptions, proofs: ProveOptions) -> bool:
    """Whether the options ask to forget something, or to finish a waiting request.

    Raises:
        SettingsError: an empty name, or options that have no effect: a request must not be dropped silently.
    """
    given = vars(request)
    requests = [name for name in _NAMES if given[name] is not None]
    for name in requests:
        if not str(given[name]).strip("[] ,"):
            raise SettingsError(f"--{name}: found no value (an empty variable?); expected what is to be forgotten")
    if requests and request.catch_up:
        later = ": --at_once leaves the training for later; give --catch_up by itself then"
        why = later if request.at_once else ", which trains what is missing anyway"
        raise SettingsError(f"--catch_up does not go with a request{why}")
    asked = bool(requests) or request.resume or request.catch_up
    proving = [name for name, wanted in vars(proofs).items() if wanted]
    if asked and proving:
        raise SettingsError(f"--{proving[0]} does not go with a request; give one command for each")
    if requests and request.allow_pending:
        raise SettingsError("--allow_pending does not go with a request: it evaluates the old state")
    manners = [name for name in _MANNERS if given[name]]
    fixed = [name for name in manners if name in _AS_MADE]
    if fixed and asked and not requests:
        if request.catch_up:
            raise SettingsError(f"--{fixed[0]} does not go with --catch_up: it trains what requests left, as they are")
        raise SettingsError(
            f"--{fixed[0]} does not go with --resume alone: the waiting request is carried out as it was made"
        )
    if manners and not asked:
        raise SettingsError(
            f"--{manners[0]}: found no request; expected together with --unlearn=FILE, --forget_users, ..."
        )
    return asked


def waits(run_dir: str | None) -> bool:
    """Whether the same command was given before and was interrupted while forgetting."""
    from recbole_apa.runs.ledger import Ledger
    from recbole_apa.runs.remote.working_copy import open_place
    from recbole_apa.runs.store import RunStore

    if not run_dir:
        return False
    with open_place(run_dir, "reading", writes=False) as place:
        store = RunStore(place)
        return store.manifest_path.is_file() and bool(Ledger(place, store.manifest()["salt"]).waiting())


def read_request(request: ForgetOptions) -> dict[str, Any]:
    """The request's arguments for ``unlearn``; a malformed request is already rejected here.

    Raises:
        RequestError: the file or a name is malformed.
        SettingsError: columns without a file, or columns that contradict each other.
    """
    from recbole_apa.unlearning.requests.ids import map_ids
    from recbole_apa.unlearning.requests.lookup import read_demands

    given = {"columns": request.unlearn_columns, "ids": request.unlearn_ids}
    told = {name: value for name, value in given.items() if value is not None}
    for name in told:
        if not request.unlearn and not request.gather:
            raise SettingsError(
                f"--unlearn_{name}: expected together with --unlearn=FILE, whose columns and ids it names"
            )
    named: dict[str, Any] = dict(told)
    files = gathered(request)
    for file in files:
        map_ids(read_demands(Path(file), named.get("columns")), named.get("ids"))
    return {
        "requests": request.unlearn or files,
        "users": names_in(request.forget_users),
        "items": names_in(request.forget_items),
        "interactions": [_interaction(word) for word in names_in(request.forget_interactions)],
        **named,
    }


def gathered(request: ForgetOptions) -> list[str]:
    """The request files that the options name.

    Raises:
        RequestError: a folder without any.
        SettingsError: other requests beside a folder of them.
    """
    if request.gather is None:
        return [request.unlearn] if request.unlearn else []
    beside = [name for name in _NAMES if name != "gather" and vars(request)[name] is not None]
    if beside:
        raise SettingsError(f"--{beside[0]} does not go with --gather: put what it names into a file in that folder")
    folder = Path(request.gather)
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    found = [str(path) for path in there if path.is_file() and not path.name.startswith(".")]
    if not found:
        raise RequestError(f"--gather: found no file in {folder}, expected a folder of request files")
    return found


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


def carry_out(folder: "str | RunResult", request: ForgetOptions, changes: Mapping[str, object], out: Output) -> None:
    """Carry out a request on a run, and tell the result."""
    from recbole_apa.unlearning.stage import unlearn
    from recbole_apa.unlearning.texts import result_text

    if request.catch_up:
        from recbole_apa.unlearning.catching_up import catch_up

        machine = request.other_machine if request.other_machine is not None else "refuse"
        done = catch_up(folder, changes, machine)
        out.tell(result_text(done), unlearn=lambda: unlearn_fields(done))
        return
    result = unlearn(
        folder,
        **read_request(request),
        exactness=request.exactness if request.exactness is not None else INHERITED,
        method=request.unlearn_method if request.unlearn_method is not None else "exact",
        other_machine=request.other_machine if request.other_machine is not None else "refuse",
        skip_unknown=request.skip_unknown,
        dry_run=request.dry_run,
        at_once=request.at_once,
        config_dict=changes,
    )
    later = "nothing is trained at once: what is to be trained again, figures and report are left to --catch_up\n"
    out.tell(
        (later if request.at_once and request.dry_run else "") + result_text(result),
        unlearn=lambda: unlearn_fields(result),
    )
