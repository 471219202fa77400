"""``python run_recbole_apa.py --model=APA --dataset=ml-100k --key=value ...``, in RecBole's manner."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recbole_apa.cli.forget import COLUMNS, IDS, NAMES, carry_out, is_asked, prove, read_stage, waits, words
from recbole_apa.cli.keys import serve_keys
from recbole_apa.cli.tune import PLAIN_TEXT as _OF_TUNE
from recbole_apa.cli.tune import USAGE as TUNE_USAGE
from recbole_apa.cli.tune import serve_tune
from recbole_apa.cli.usage import USAGE
from recbole_apa.core.errors import APAError, FinishedRunError, SettingsError
from recbole_apa.core.system.signals import STATUS, Terminated, terminable
from recbole_apa.core.system.streams import patient_streams
from recbole_apa.core.system.surroundings import explained, refuse_bytes
from recbole_apa.evidence import KEY_FILE

if TYPE_CHECKING:
    from recbole_apa.comparison.presets import Preset

_KEYS = frozenset({"rotate_key", "key_digests"})
_FLAGS = _KEYS | {"plan", "audit", "verify", "dry_run", "skip_unknown", "resume", "allow_pending", "slices"}
_COMPARING = frozenset({"compare", "experiment", "seeds", "compare_dir", "slices", "baseline_options"})
_SHARES, _NUMBERS = ("forget_ratio", "forget_users_ratio"), ("forget_n_interactions", "forget_n_users")
_DRAWN = frozenset({*_SHARES, *_NUMBERS, "forget_who", "forget_items_with", "forget_one_by_one"})
_PLAIN_TEXT = NAMES | {"model", "dataset", "config_files", "run", "run_dir", "export_samples", "data_path", "device"}
_STAGE = frozenset({"unlearn", "exactness", "unlearn_method", "other_machine"})
_PLANNED = {
    "requests_per_day": None,
    "n_samples": None,
    "samples_per_request": 11,
    "workers": 1,
    "interval_minutes": 60,
}
"""Numbers of a plan, with their defaults."""
_KEPT = "what was finished is kept in the run folder named above"
_PLAIN_TEXT |= (
    _STAGE
    | {KEY_FILE, "log_dir", "plan_dir", "copy_to"}
    | _OF_TUNE
    | {"forget_who", "forget_items_with", "compare", "compare_dir", "experiment"}
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        the exit status: 0; 1 where an audit or a verification does not hold; 2 where the input has to be mended; 130
        after Ctrl-C, 143 after SIGTERM. What becomes of the text that is printed does not change it.
    """
    with patient_streams():
        return _main(arguments)


def _main(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    if given[0] == "tune" and {"-h", "--help"} & set(given[1:2]):
        print(TUNE_USAGE)
        return 0
    try:
        with terminable():
            refuse_bytes(given)
            if given[0] == "tune":
                print(serve_tune(parse_arguments(given[1:])))
                return 0
            return _dispatch(parse_arguments(given))
    except APAError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"RunError: {error}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError, UnicodeEncodeError) as error:
        told = explained(error)
        if told is None:
            raise
        print(f"RunError: {told}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; {_KEPT}", file=sys.stderr)
        return 130
    except Terminated:
        print(f"ended by SIGTERM; {_KEPT}", file=sys.stderr)
        return STATUS


def parse_arguments(arguments: Sequence[str]) -> dict[str, Any]:
    """``--key=value`` (or ``--key value``) pairs with values as YAML reads them; never evaluated.

    Raises:
        SettingsError: anything else, or a key given twice with different values.
    """
    out: dict[str, Any] = {}
    rest = list(arguments)
    for word in rest:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise SettingsError(f"found {ascii(word)[:80]}, which is no text in UTF-8; rename what it names") from None
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or len(word) < 3:
            raise SettingsError(f"found {word!r}, expected --option=value")
        key, equals, text = word[2:].partition("=")
        if not equals and key in _FLAGS and (not rest or rest[0].startswith("--")):
            text = "True"
        elif not equals:
            if not rest or rest[0].startswith("--"):
                raise SettingsError(f"found {word!r} without a value, expected {word}=value")
            text = rest.pop(0)
        value = _value(key, text)
        if key in out and out[key] != value:
            raise SettingsError(f"--{key} is given twice: {out[key]!r} and {value!r}")
        out[key] = value
    return out


def _value(key: str, text: str) -> Any:
    from recbole_apa.core.option_table import text_keys
    from recbole_apa.core.yaml import parse_value

    return text if key in _PLAIN_TEXT | text_keys() else parse_value(text)


def _dispatch(options: dict[str, Any]) -> int:
    from recbole_apa.comparison.presets import read_preset
    from recbole_apa.pipeline.quick_start import evaluate_run

    keying = {name: options.pop(name) for name in _KEYS if name in options}
    if any(keying.values()):
        print(serve_keys(keying, options))
        return 0
    if options.pop("plan", False):
        _plan(options)
        return 0
    comparing = {name: options.pop(name) for name in _COMPARING if name in options}
    drawn = {name: options.pop(name) for name in _DRAWN if name in options}
    if comparing and "forget_items" in options:
        drawn["forget_items"] = tuple(words(options, "forget_items"))
        del options["forget_items"]
    if drawn and not comparing:
        raise SettingsError(f"--{min(drawn)}: expected together with --compare=NAMES, e.g. --compare=NPO,APA(D)")
    if comparing:
        kept = read_preset(comparing["experiment"]) if comparing.get("experiment") else None
        if drawn or (kept and kept.forget):
            _compare_forgetting(comparing, kept, drawn, options)
        else:
            _compare(comparing, kept, options)
        return 0
    stage = {name: options.pop(name) for name in (*_FLAGS, *NAMES, *_STAGE, COLUMNS, IDS) if name in options}
    asked = is_asked(stage)
    if "run" in options:
        folder = options.pop("run")
        if "copy_to" in options:
            _copy(folder, options)
            return 0
        changes = {k: v for k, v in options.items() if (k, v) != ("model", "APA")}
        if stage.get("audit") or stage.get("verify"):
            return prove(folder, stage, changes)
        if asked:
            carry_out(folder, stage, changes)
        else:
            evaluate_run(folder, changes, bool(stage.get("allow_pending")))
        return 0
    model, dataset = options.pop("model", "APA"), options.pop("dataset", "ml-100k")
    _refuse_stage(stage, asked, model)
    _refuse_near_misses(options)
    files = options.pop("config_files", "").split()
    if asked and waits(options.get("run_dir")):
        print(f"{options['run_dir']}: a request waits there to be carried out; going on with it")
        carry_out(options["run_dir"], stage, {k: v for k, v in options.items() if k == KEY_FILE})
        return 0
    if asked:
        read_stage(stage)  # a malformed request is refused before the training, not after it
    _train(model, dataset, files, options, stage, asked)
    return 0


def _train(
    model: str, dataset: str, files: list[str], options: dict[str, Any], stage: dict[str, Any], asked: bool
) -> None:
    """Train and evaluate; then forget, where that is asked."""
    from recbole_apa.pipeline.quick_start import run

    place: dict[str, Any] = {}
    try:
        result: Any = run(model, dataset, files, options, run_dir=options.get("run_dir"))
    except FinishedRunError:
        if not asked:
            raise
        result = options["run_dir"]  # killed after the training, before the request was taken
        place = {name: options[name] for name in (KEY_FILE,) if name in options}
        print(f"{result}: the training is finished there; going on with the request")
    if asked:
        carry_out(result, stage, place)


def _copy(source: str, options: dict[str, Any]) -> None:
    from recbole_apa.runs.remote.working_copy import copy_run

    target = options.pop("copy_to")
    if options:
        raise SettingsError(f"--{min(options)} does not go with --copy_to")
    copy_run(source, target)
    print(f"copied to {target}; a later request to forget leaves this copy as it is")


def _plan(options: dict[str, Any]) -> None:
    from recbole_apa.data.recbole_checks import is_number
    from recbole_apa.unlearning.capacity import Stream
    from recbole_apa.unlearning.capacity_plan import plan_capacity

    numbers = {name: options.pop(name, usual) for name, usual in _PLANNED.items()}
    wrong = [n for n, v in numbers.items() if not is_number(v) or v <= 0]
    if wrong:
        raise SettingsError(
            f"--plan: found {wrong[0]} {numbers[wrong[0]]!r}, expected a number above 0, e.g. --{wrong[0]}=500"
        )
    minutes = numbers.pop("interval_minutes")
    sizes = options.pop("shard_size", [])
    folder, dataset = options.pop("plan_dir", "saved/plan"), options.pop("dataset", "ml-100k")
    if options.pop("model", "APA") != "APA":
        raise SettingsError("--plan: expected --model=APA; other models have no shards")
    _, table = plan_capacity(
        Stream(**numbers, interval=60.0 * minutes),
        sizes if isinstance(sizes, list) else [sizes],
        options.pop("run", None),
        dataset,
        options,
        folder,
    )
    print(table)
    print(f"plan and figure: {folder}")


def _compare(comparing: dict[str, Any], kept: "Preset | None", options: dict[str, Any]) -> None:
    from recbole_apa.comparison.run_methods import compare

    words = [name.strip() for name in comparing.get("compare", "").split(",") if name.strip()]
    if not words and kept is None:
        raise SettingsError(f"--{min(comparing)}: expected together with --compare=NAMES, e.g. --compare=paper")
    model, dataset = options.pop("model", "APA"), options.pop("dataset", "ml-100k")
    if model != "APA":
        raise SettingsError(f"--compare: found --model={model}, expected --model=APA; name {model} in --compare")
    stage = sorted({"run", "run_dir", "unlearn", COLUMNS, IDS, *_FLAGS, *NAMES} & set(options))
    if stage:
        raise SettingsError(f"--{stage[0]} does not go with --compare: each method is trained and unlearnt anew")
    _refuse_near_misses(options)
    files = options.pop("config_files", "").split()
    result = compare(
        [*(kept.names if kept else []), *words],
        dataset,
        files,
        {**(kept.options if kept else {}), **options},
        seeds=_seeds(comparing, kept.seeds if kept else 1),
        folder=comparing.get("compare_dir"),
        baseline_options=comparing.get("baseline_options", kept.baseline_options if kept else None),
        slices=bool(comparing.get("slices", kept.slices if kept else False)),
    )
    print(result.table)
    print(f"rows, tables and report: {result.folder}")


def _compare_forgetting(
    comparing: dict[str, Any], kept: "Preset | None", drawn: dict[str, Any], options: dict[str, Any]
) -> None:
    from recbole_apa.comparison.forget_task import ForgetRequest
    from recbole_apa.comparison.forgetting import compare_forgetting

    others = sorted({"slices", "baseline_options"} & set(comparing))
    if others or options.pop("model", "APA") != "APA":
        raise SettingsError(f"--{(others or ['model'])[0]} does not go with a comparison of forgetting")
    wrong = [n for n in _SHARES if not isinstance(drawn.get(n, 0), (int, float))]
    wrong += [n for n in _NUMBERS if not isinstance(drawn.get(n, 0), int)]
    if wrong:
        expected = "a share, e.g. 0.05" if wrong[0] in _SHARES else "how many, e.g. 1"
        raise SettingsError(f"--{wrong[0]}: found {drawn[wrong[0]]!r}, expected {expected}")
    asked = {name.removeprefix("forget_"): value for name, value in drawn.items()}
    request = ForgetRequest(**(asked or (dict(kept.forget) if kept else {})))
    names = [name.strip() for name in comparing.get("compare", "").split(",") if name.strip()]
    _refuse_near_misses(options)
    result = compare_forgetting(
        [*(kept.names if kept else []), *names],
        request,
        options.pop("dataset", "ml-100k"),
        options.pop("config_files", "").split(),
        {**(kept.options if kept else {}), **options},
        seeds=_seeds(comparing, kept.seeds if kept else 1),
        folder=comparing.get("compare_dir"),
    )
    print(result.table)
    print(f"rows, table and report: {result.folder}")


def _seeds(comparing: dict[str, Any], usual: int) -> int:
    seeds = comparing.get("seeds", usual)
    if not isinstance(seeds, int) or seeds < 1:
        raise SettingsError(f"--seeds: found {seeds!r}, expected how many, at least 1")
    return seeds


def _refuse_near_misses(options: dict[str, Any]) -> None:
    """Options of the stages are the command line's own: RecBole's check of names does not know them."""
    from recbole_apa.core.option_table import SETTING_KEYS
    from recbole_apa.core.options import nearest

    for name in set(options) - SETTING_KEYS:
        near = nearest(name, [*_FLAGS, *NAMES, *_COMPARING, *_STAGE, COLUMNS, IDS], 0.8)
        if near:
            raise SettingsError(f"unknown option {name!r}; did you mean {near!r}?")


def _refuse_stage(stage: dict[str, Any], asked: bool, model: str) -> None:
    """What only a finished run can be asked."""
    late = sorted(name for name in ("audit", "verify", "resume", "dry_run", "allow_pending") if stage.get(name))
    if late:
        raise SettingsError(f"--{late[0]}: expected on a finished run, e.g. --run=saved/APA-ml-100k-... --{late[0]}")
    if asked and model != "APA":
        raise SettingsError(f"--unlearn: found --model={model}, expected --model=APA")
