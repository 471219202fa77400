"""``--run=DIR``: evaluate a finished run again, copy it, make it forget or grow, prove it, predict or recommend by
it."""

from recbole_apa.cli import add, forget, predictions, prove, recommendations
from recbole_apa.cli.arguments import Words, refuse_near_misses, take, values_of
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import (
    AddOptions,
    ForgetOptions,
    PredictOptions,
    ProveOptions,
    RecommendOptions,
    RunOptions,
)
from recbole_apa.core.errors import SettingsError


def serve(words: Words, out: Output) -> int:
    """Do what the options ask of a finished run.

    Returns:
        the exit status.

    Raises:
        APAError: says what was found, what was expected, and what to do.
    """
    where, rest = take(RunOptions, words)
    request, rest = take(ForgetOptions, rest)
    addition, rest = take(AddOptions, rest)
    proofs, rest = take(ProveOptions, rest)
    to_predict, rest = take(PredictOptions, rest)
    to_recommend, rest = take(RecommendOptions, rest)
    k, rest = recommendations.taken_k(to_recommend, rest)
    others = {**vars(proofs), **vars(to_predict), **vars(to_recommend), "copy_to": where.copy_to}
    adding = add.is_asked(addition, request, others)
    asked = not adding and forget.is_asked(request, proofs)
    changing = asked or proofs.audit or proofs.verify or where.copy_to is not None
    wanted = predictions.is_asked(to_predict, changing)
    recommending = recommendations.is_asked(to_recommend)
    if recommending and (changing or wanted):
        raise SettingsError("a request, a proof, a copy, predictions and recommendations: give one command for each")
    folder = where.run or ""
    if where.copy_to is not None:
        _copy(folder, where.copy_to, rest, out)
        return 0
    changes = {name: value for name, value in values_of(rest).items() if (name, value) != ("model", "APA")}
    from recbole_apa.pipeline.option_names import MOVABLE

    refuse_near_misses(changes, MOVABLE)
    if proofs.audit or proofs.verify:
        return prove.prove(folder, proofs, changes, out)
    if adding:
        add.carry_out(folder, addition, request, changes, out)
        return 0
    if asked:
        forget.carry_out(folder, request, changes, out)
        return 0
    if wanted:
        return predictions.serve(folder, to_predict, changes, out)
    if recommending:
        return recommendations.serve(folder, to_recommend, k, changes, out)
    from recbole_apa.pipeline.quick_start import evaluate_run

    result = evaluate_run(folder, changes, request.allow_pending)
    out.tell(None, metrics=lambda: result.metrics)
    return 0


def _copy(source: str, target: str, rest: Words, out: Output) -> None:
    from recbole_apa.runs.remote.working_copy import copy_run

    if rest:
        raise SettingsError(f"--{min(rest)} does not go with --copy_to")
    copy_run(source, target)
    told = f"copied to {target}; a later request to forget leaves this copy as it is"
    out.tell(told, copy=lambda: {"run": source, "copy": target})
