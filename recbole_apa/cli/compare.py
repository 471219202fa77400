"""``--compare``: methods on the same rows, or how well they forget."""

from typing import TYPE_CHECKING

from recbole_apa.cli.arguments import Words, names_in, refuse_near_misses, take, values_of
from recbole_apa.cli.fields import compare_fields
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import (
    AddOptions,
    CompareOptions,
    DrawOptions,
    ForgetOptions,
    ProveOptions,
    RunOptions,
    TrainOptions,
    names_of,
)
from recbole_apa.core.arguments import PlaceArguments
from recbole_apa.core.errors import SettingsError

if TYPE_CHECKING:
    from recbole_apa.comparison.forget_task import ForgetRequest
    from recbole_apa.comparison.forgetting import Forgetting
    from recbole_apa.comparison.presets import Preset
    from recbole_apa.comparison.run_methods import Comparison

_NOT_HERE = names_of(PlaceArguments, RunOptions, ForgetOptions, AddOptions, ProveOptions)


def is_asked(words: Words) -> bool:
    """Whether an option of a comparison is given.

    Raises:
        SettingsError: something to draw, but no comparison.
    """
    asked = bool(names_of(CompareOptions) & set(words))
    drawn = sorted(names_of(DrawOptions) & set(words))
    if drawn and not asked:
        raise SettingsError(f"--{drawn[0]}: expected together with --compare=NAMES, e.g. --compare=NPO,APA(D)")
    return asked


def serve(words: Words, out: Output) -> int:
    """Compare, and tell the table and where the results are.

    Returns:
        the exit status: 1 if a row failed or a measure could not be taken, else 0.

    Raises:
        SettingsError: options that do not go with a comparison, or no option that says what to compare.
    """
    from recbole_apa.comparison.presets import read_preset

    asked, rest = take(CompareOptions, words)
    draw, rest = take(DrawOptions, rest)
    items = rest.pop("forget_items", None)
    kept = read_preset(asked.experiment) if asked.experiment else None
    drawn: dict[str, object] = {name: value for name, value in vars(draw).items() if value is not None}
    if items is not None:
        drawn["forget_items"] = tuple(names_in(items))
    if drawn or (kept and kept.forget):
        result: Comparison | Forgetting = _compare_forgetting(asked, kept, drawn, rest)
        told = "rows, table and report"
    else:
        result, told = _compare(asked, kept, rest, words), "rows, tables and report"
    further = [getattr(result, name, ()) for name in ("slices", "model_adds")]
    out.tell(
        f"{result.table}\n{told}: {result.folder}",
        compare=lambda: compare_fields(result.rows, result.folder, result.problems, *further),
    )
    return 1 if result.problems else 0


def _compare(asked: CompareOptions, kept: "Preset | None", rest: Words, words: Words) -> "Comparison":
    from recbole_apa.comparison.run_methods import compare

    names = _names(asked)
    if not names and kept is None:
        given = min(names_of(CompareOptions) & set(words))
        raise SettingsError(f"--{given}: expected together with --compare=NAMES, e.g. --compare=paper")
    shared, rest = take(TrainOptions, rest)
    if shared.model != "APA":
        raise SettingsError(
            f"--compare: found --model={shared.model}, expected --model=APA; name {shared.model} in --compare"
        )
    _refuse_stage(rest)
    timed = kept.time_requests if kept and asked.time_requests is None else asked.time_requests is not False
    baselines = asked.baseline_options
    if baselines is None and kept:
        baselines = kept.baseline_options
    return compare(
        [*(kept.names if kept else []), *names],
        shared.dataset,
        shared.files,
        {**(kept.options if kept else {}), **values_of(rest)},
        seeds=_seeds(asked, kept.seeds if kept else 1),
        folder=asked.compare_dir,
        baseline_options=baselines,  # type: ignore[arg-type]
        baseline_data=asked.baseline_data or (kept.baseline_data if kept else "all"),  # type: ignore[arg-type]
        slices=asked.slices if asked.slices is not None else bool(kept and kept.slices),
        redraw=_redraw(asked, kept),
        all_test_rows=asked.all_test_rows if asked.all_test_rows is not None else bool(kept and kept.all_test_rows),
        time_requests=timed,
    )


def _compare_forgetting(
    asked: CompareOptions, kept: "Preset | None", drawn: dict[str, object], rest: Words
) -> "Forgetting":
    from recbole_apa.comparison.forgetting import compare_forgetting
    from recbole_apa.comparison.presets import PLAIN

    shared, rest = take(TrainOptions, rest)
    others = sorted({name for name in PLAIN if getattr(asked, name) is not None} | (kept.plain if kept else set()))
    if others or shared.model != "APA":
        raise SettingsError(f"--{(others or ['model'])[0]} does not go with a comparison of forgetting")
    request = _request(drawn, kept)
    _refuse_stage(rest)
    return compare_forgetting(
        [*(kept.names if kept else []), *_names(asked)],
        request,
        shared.dataset,
        shared.files,
        {**(kept.options if kept else {}), **values_of(rest)},
        seeds=_seeds(asked, kept.seeds if kept else 1),
        folder=asked.compare_dir,
        redraw=_redraw(asked, kept),
    )


def _request(drawn: dict[str, object], kept: "Preset | None") -> "ForgetRequest":
    from recbole_apa.comparison.forget_task import ForgetRequest

    asked = {name.removeprefix("forget_"): value for name, value in drawn.items()}
    return ForgetRequest(**(asked or (dict(kept.forget) if kept else {})))  # type: ignore[arg-type]


def _names(asked: CompareOptions) -> list[str]:
    return [name.strip() for name in (asked.compare or "").split(",") if name.strip()]


def _seeds(asked: CompareOptions, usual: int) -> int:
    return usual if asked.seeds is None else asked.seeds


def _redraw(asked: CompareOptions, kept: "Preset | None") -> bool:
    return asked.redraw if asked.redraw is not None else bool(kept and kept.redraw)


def _refuse_stage(rest: Words) -> None:
    stage = sorted(_NOT_HERE & set(rest))
    if stage:
        raise SettingsError(f"--{stage[0]} does not go with --compare: each method trains and forgets on its own")
    refuse_near_misses(rest)
