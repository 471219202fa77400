"""``--model=APANext``, and ``--run=DIR`` of such a run: train, evaluate, compare, forget, grow, prove, recommend."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.cli import add, forget, next_item_texts, prove, recommendations
from recbole_apa.cli.arguments import Words, names_in, refuse_near_misses, take, values_of
from recbole_apa.cli.fields import audit_fields, verify_fields
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import (
    AddOptions,
    CompareOptions,
    ForgetOptions,
    ProveOptions,
    RecommendOptions,
    RunOptions,
    TrainOptions,
    names_of,
)
from recbole_apa.core.arguments import PlaceArguments
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.options import nearest
from recbole_apa.data.recbole_options import RECBOLE_OPTIONS

if TYPE_CHECKING:
    from recbole_apa.next_item.run.opened import NextItemRun

MODEL = "APANext"
_HERE = (TrainOptions, PlaceArguments, RunOptions, ForgetOptions, ProveOptions, RecommendOptions)
_STAGES = (ForgetOptions, AddOptions, ProveOptions, RecommendOptions)
_NOT_YET = ("unlearn_method", "other_machine", "allow_pending")
"""Options of a request that this mode does not have."""
_GO_ON = ("key_file", "device", "trust_remote_code", "show_progress")
"""Options of a training that hold for a request in the same command."""


def is_asked(words: Words) -> bool:
    """Whether the model, or the finished run, is APANext.

    Raises:
        SettingsError: recommendations are asked without a run, or a finished run of APANext is called another model's.
    """
    if "run" in words:
        from recbole_apa.next_item.run.store import is_next_item_run

        found, named = is_next_item_run(words["run"]), words.get("model", MODEL)
        if found and named != MODEL:
            raise SettingsError(
                f"--model: found {named}, but {words['run']} is a run of {MODEL}; leave --model out, or name another "
                "--run"
            )
        return found
    if words.get("model") == MODEL:
        return True
    wanted = sorted(names_of(RecommendOptions) & set(words))
    if wanted:
        raise SettingsError(f"--{wanted[0]}: expected a finished run, with --run=DIR; found no --run")
    return False


def serve(words: Words, out: Output) -> int:
    """Do what the options ask.

    Returns:
        the exit status: 1 if a proof does not hold.

    Raises:
        APAError: says what was found, what was expected, and what to do.
    """
    if "plan" in words:
        raise SettingsError(
            f"--plan does not go with {MODEL}: it counts what requests cost that train shards of APA again; expected "
            "--model=APA, or a run of it"
        )
    baselines, rest = _compared(words)
    request, rest = take(ForgetOptions, rest)
    addition, rest = take(AddOptions, rest)
    proofs, rest = take(ProveOptions, rest)
    wanted, rest = take(RecommendOptions, rest)
    k, rest = recommendations.taken_k(wanted, rest)
    where, rest = take(RunOptions, rest)
    given = [name for name in _NOT_YET if getattr(request, name) not in (None, False)]
    given += ["readmit"] * addition.readmit + ["copy_to"] * (where.copy_to is not None)
    if given:
        raise SettingsError(f"--{given[0]} does not go with a run of {MODEL}")
    if add.is_asked(addition, request, {**vars(proofs), **vars(wanted), "compare": baselines or None}):
        return _add(where.run, rest, addition, request.dry_run, out)
    asked = [forget.is_asked(request, proofs), bool(baselines), recommendations.is_asked(wanted)]
    if sum([*asked, proofs.audit or proofs.verify]) > 1:
        raise SettingsError("a request, a proof, a comparison and recommendations: give one command for each")
    if where.run is None:
        return _train(rest, request, proofs, wanted, baselines, out)
    rest.pop("model", None)
    changes = values_of(rest)
    _refuse_changes(changes)
    if forget.is_asked(request, proofs):
        _forget(where.run, request, changes, out)
    elif proofs.audit or proofs.verify:
        return _prove(where.run, proofs, changes, out)
    elif recommendations.is_asked(wanted):
        recommendations.serve(where.run, wanted, k, changes, out)
    else:
        _evaluate(where.run, changes, baselines, out)
    return 0


def _compared(words: Words) -> tuple[list[str], Words]:
    """The models named in ``--compare``, and the other words."""
    others = sorted((names_of(CompareOptions) - {"compare"}) & set(words))
    if others:
        raise SettingsError(f"--{others[0]} does not go with {MODEL}; expected --compare=NAMES alone, e.g. Pop,EASE")
    rest = dict(words)
    names = names_in(rest.pop("compare", ""))
    if "compare" in words and not names:
        raise SettingsError("--compare: found no value (an empty variable?); expected names, e.g. Pop,EASE")
    return names, rest


def _refuse_changes(changes: Mapping[str, object]) -> None:
    from recbole_apa.next_item.run.opened import CHANGES

    others = sorted(set(changes) - CHANGES)
    if others:
        commands = {"compare"}.union(*map(names_of, _STAGES)) - {*_NOT_YET, "readmit"}
        near = None if others[0] in _decided() else nearest(others[0], CHANGES | commands, 0.6)
        known = f"expected a command, e.g. --forget_users, or one of the options {', '.join(sorted(CHANGES))}"
        hint = f"did you mean {near!r}?" if near else known
        kept = ", which keeps its own settings" if others[0] in _decided() else ""
        raise SettingsError(f"--{others[0]} does not go with a finished run of {MODEL}{kept}; {hint}")


def _decided() -> frozenset[str]:
    """Options that a training decides: no misspelling of others."""
    from recbole_apa.next_item.options import OWN, SHARED

    return OWN | SHARED | RECBOLE_OPTIONS.keys() | names_of(TrainOptions)


def _train(
    words: Words,
    request: ForgetOptions,
    proofs: ProveOptions,
    wanted: RecommendOptions,
    baselines: list[str],
    out: Output,
) -> int:
    what, rest = take(TrainOptions, words)
    place, rest = take(PlaceArguments, rest)
    later = request.resume or request.catch_up
    if proofs.audit or proofs.verify or recommendations.is_asked(wanted) or later:
        raise SettingsError(f"found --model={MODEL} with an option of a finished run; expected it with --run=DIR")
    refuse_near_misses(rest)
    asked = forget.is_asked(request, proofs)
    if asked:
        forget.read_request(request)  # a malformed request is rejected before the training
    from recbole_apa.next_item.run.baselines import refuse_names
    from recbole_apa.next_item.run.train import run_next_items

    refuse_names(baselines)
    made = run_next_items(what.dataset, what.files, values_of(rest), place.run_dir)
    _compare(made, baselines)
    out.tell(made.table if baselines else None, next_items=lambda: next_item_texts.run_fields(made))
    if asked:
        _forget(str(made.folder), request, {n: v for n, v in values_of(rest).items() if n in _GO_ON}, out)
    return 0


def _compare(made: "NextItemRun", baselines: list[str]) -> None:
    if baselines:
        from recbole_apa.next_item.run.baselines import add_baselines

        add_baselines(made, baselines)


def _evaluate(folder: str, changes: Mapping[str, object], baselines: list[str], out: Output) -> None:
    from recbole_apa.next_item.run.baselines import refuse_names
    from recbole_apa.next_item.run.train import open_next_items

    refuse_names(baselines)
    opened = open_next_items(folder, changes)
    _compare(opened, baselines)
    out.tell(opened.table, next_items=lambda: next_item_texts.run_fields(opened))


def _forget(folder: str, request: ForgetOptions, changes: Mapping[str, object], out: Output) -> None:
    from recbole_apa.evidence.exactness import INHERITED
    from recbole_apa.next_item.run.catch_up import catch_up_next_items
    from recbole_apa.next_item.run.forget import forget_next_items

    if request.catch_up:
        done = catch_up_next_items(folder, changes)
        out.tell(next_item_texts.forget_text(done), next_items_unlearn=lambda: next_item_texts.forget_fields(done))
        return
    asked = forget.read_request(request)
    files = asked.pop("requests")
    result = forget_next_items(
        folder,
        files or None,
        **asked,
        exactness=request.exactness if request.exactness is not None else INHERITED,
        skip_unknown=request.skip_unknown,
        dry_run=request.dry_run,
        at_once=request.at_once,
        config_dict=changes,
    )
    out.tell(next_item_texts.forget_text(result), next_items_unlearn=lambda: next_item_texts.forget_fields(result))


def _add(folder: str | None, words: Words, addition: AddOptions, dry_run: bool, out: Output) -> int:
    from recbole_apa.next_item.run.add import add_next_items

    if folder is None:
        raise SettingsError(f"--add: expected a finished run of {MODEL}, with --run=DIR; found no --run")
    changes = values_of({name: text for name, text in words.items() if name != "model"})
    _refuse_changes(changes)
    rows = Path(str(addition.add))
    result = add_next_items(folder, rows, columns=addition.add_columns, dry_run=dry_run, config_dict=changes)
    out.tell(next_item_texts.add_text(result), next_items_add=lambda: next_item_texts.add_fields(result))
    return 0


def _prove(folder: str, asked: ProveOptions, changes: Mapping[str, object], out: Output) -> int:
    from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items

    holds = True
    if asked.audit:
        audited = audit_next_items(folder, changes)
        out.tell(prove.audit_text(audited), audit=lambda: audit_fields(audited))
        holds = audited.holds
    if asked.verify:
        verified = verify_next_items(folder, changes)
        out.tell(prove.verify_text(verified), verify=lambda: verify_fields(verified))
        holds = holds and verified.holds
    return 0 if holds else 1
