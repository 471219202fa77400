"""Train and evaluate; then forget, if asked to."""

from typing import TYPE_CHECKING

from recbole_apa.cli import forget
from recbole_apa.cli.arguments import Words, refuse_near_misses, take, values_of
from recbole_apa.cli.fields import train_fields
from recbole_apa.cli.option_facts import Use
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import STAGES, ForgetOptions, ProveOptions, TrainOptions, names_for
from recbole_apa.core.arguments import PlaceArguments
from recbole_apa.core.errors import FinishedRunError, SettingsError
from recbole_apa.evidence import KEY_FILE

if TYPE_CHECKING:
    from recbole_apa.pipeline.build import RunResult


def serve(words: Words, out: Output) -> int:
    """Train, evaluate, and carry out the request in the same command, if any.

    Raises:
        APAError: says what was found, what was expected, and what to do.
    """
    request, rest = take(ForgetOptions, words)
    proofs, rest = take(ProveOptions, rest)
    asked = forget.is_asked(request, proofs)
    what, rest = take(TrainOptions, rest)
    _refuse_stage(words, asked, what.model)
    where, rest = take(PlaceArguments, rest)
    refuse_near_misses(rest)
    run_dir = where.run_dir
    if asked and forget.waits(run_dir):
        out.tell(f"{run_dir}: a request is waiting to be carried out; resuming it")
        forget.carry_out(str(run_dir), request, _place(rest), out)
        return 0
    if asked:
        forget.read_request(request)  # a malformed request is rejected before the training, not after it
    _train(what, rest, run_dir, request if asked else None, out)
    return 0


def _train(what: TrainOptions, rest: Words, run_dir: str | None, request: ForgetOptions | None, out: Output) -> None:
    from recbole_apa.pipeline.quick_start import run

    place: dict[str, object] = {}
    try:
        made = run(what.model, what.dataset, what.files, values_of(rest), run_dir=run_dir)
        result: RunResult | str = made
        out.tell(None, train=lambda: train_fields(what.model, what.dataset, made))
    except FinishedRunError:
        if request is None:
            raise
        result = str(run_dir)  # killed after the training, before the request was taken
        place = _place(rest)
        out.tell(f"{result}: the training is already finished; continuing with the request")
    if request is not None:
        forget.carry_out(result, request, place, out)


def _place(rest: Words) -> dict[str, object]:
    """Where the key file is: the only one of these options that matters to a run that is already trained."""
    return {KEY_FILE: rest[KEY_FILE]} if KEY_FILE in rest else {}


def _refuse_stage(words: Words, asked: bool, model: str) -> None:
    """
    Raises:
        SettingsError: an option that needs a finished run, or a request for a model other than APA.
    """
    given = values_of(words)
    late = sorted(name for name in names_for(Use.ON_FINISHED, *STAGES) if given.get(name) not in (None, False))
    if late:
        raise SettingsError(
            f"--{late[0]}: expected on a finished run, together with --run=DIR, e.g. --run=saved/APA-ml-100k-..."
        )
    if asked and model != "APA":
        raise SettingsError(f"--unlearn: found --model={model}, expected --model=APA")
