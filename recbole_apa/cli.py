"""``python run_recbole_apa.py --model=APA --dataset=ml-100k --key=value ...``, in RecBole's manner."""

import sys
import typing
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from recbole_apa.errors import APAError, SettingsError

if TYPE_CHECKING:
    from recbole_apa.experiment import Experiment

USAGE = """usage: python run_recbole_apa.py --model=APA --dataset=ml-100k [--OPTION=VALUE ...]

  --model=NAME            APA, or any RecBole model
  --dataset=NAME          a RecBole dataset (ml-100k ships with RecBole); --data_path=DIR says where others lie
  --config_files="A B"    YAML files of options
  --run_dir=DIR           where the run goes (default: saved/APA-<dataset>-<time>), also a URL as s3://bucket/run; an
                          interrupted one is finished
  --run=DIR               load a finished run and evaluate it again; --copy_to=DIR copies it instead
  --export_samples=DIR    write what the model will see as JSON lines
  --protocol=tallrec      the paper's split and draws

Forgetting, as a stage of a new run or on a finished one (--run=DIR):
  --unlearn=FILE          a request: .csv, .jsonl or .inter with user_id, item_id or both in each line
  --forget_users=12,57    whole users; --forget_items=50,181 whole items; --forget_interactions=12:50,57:181
  --exactness=strict      compute the partition again too (default: inherited, the paper)
  --unlearn_method=NPO    move the affected adapters instead of training them again (approximate, certified as such)
  --dry_run               show what a request affects and costs; change nothing
  --skip_unknown          serve what can be found, list the rest
  --resume                finish requests that were interrupted; --allow_pending evaluates the old state meanwhile
  --audit, --verify       prove a finished run, quickly or by training again from scratch: status 0 holds, 1 does not

Comparing, on the same training, validation and test rows:
  --compare=NAMES         Retraining, SISA, RecEraser, GraphEraser, any RecBole model, APA:option=value, ...
                          or the groups paper, recbole, rules, ablations, all
  --experiment=table1     a comparison kept in properties/experiments/ (table1, partition, weights, ...), or a file
  --seeds=3               how many seeds; --compare_dir=DIR where rows, tables and report go (what is there is kept)
  --slices                tables of cold and warm users, short and long histories, rare and popular items
  --baseline_options="{LightGCN: {epochs: 20}}"   RecBole options by model

Forgetting compared, exact beside approximate, each against retraining:
  --compare=GradDiff,NPO,E2URec,APA(D) with one of
  --forget_users_ratio=0.05, --forget_ratio=0.05 (interactions), --forget_items=50, --forget_items_with=class=Horror
  --forget_n_users=1, --forget_n_interactions=20     so many; --forget_one_by_one=True: a request for each
  --forget_who=core       which users: random, core (most active), edge (least active)

How many shards? What a stream of requests costs, by step times of a run (--run=DIR) or of a small one made now:
  --plan --requests_per_day=500 --n_samples=10_000_000 [--shard_size="[256, 1024]"] [--samples_per_request=11]
  [--workers=8] [--interval_minutes=60] [--plan_dir=DIR]

Every option of properties/model/APA.yaml and of RecBole can be given as --OPTION=VALUE.
"""

_FLAGS = frozenset({"plan", "audit", "verify", "dry_run", "skip_unknown", "resume", "allow_pending", "slices"})
_COMPARING = frozenset({"compare", "experiment", "seeds", "compare_dir", "slices", "baseline_options"})
_SHARES, _NUMBERS = ("forget_ratio", "forget_users_ratio"), ("forget_n_interactions", "forget_n_users")
_DRAWN = frozenset({*_SHARES, *_NUMBERS, "forget_who", "forget_items_with", "forget_one_by_one"})
_NAMES = frozenset({"forget_users", "forget_items", "forget_interactions"})
_PLAIN_TEXT = _NAMES | {"model", "dataset", "config_files", "run", "run_dir", "export_samples", "data_path", "device"}
_STAGE = frozenset({"unlearn", "exactness", "unlearn_method"})
_PLANNED = {
    "requests_per_day": None,
    "n_samples": None,
    "samples_per_request": 11,
    "workers": 1,
    "interval_minutes": 60,
}
"""Numbers of a plan, with their defaults."""
_PLAIN_TEXT |= (
    _STAGE | {"plan_dir", "copy_to"} | {"forget_who", "forget_items_with", "compare", "compare_dir", "experiment"}
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        the exit status: 0; 1 where an audit or a verification does not hold; 2 where the input has to be mended.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    try:
        return _dispatch(parse_arguments(given))
    except APAError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"RunError: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept in the run folder named above", file=sys.stderr)
        return 130


def parse_arguments(arguments: Sequence[str]) -> dict[str, Any]:
    """``--key=value`` (or ``--key value``) pairs with values as YAML reads them; never evaluated.

    Raises:
        SettingsError: anything else, or a key given twice with different values.
    """
    out: dict[str, Any] = {}
    rest = list(arguments)
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
    from recbole_apa.recbole_bridge import parse_value

    return text if key in _PLAIN_TEXT | _text_settings() else parse_value(text)


def _text_settings() -> set[str]:
    """Settings that are texts: braces and colons in them are meant literally."""
    from recbole_apa import settings

    groups = [v for v in vars(settings).values() if isinstance(v, type) and v.__name__.endswith("Settings")]
    return {name for g in groups for name, hint in typing.get_type_hints(g).items() if hint is str}


def _dispatch(options: dict[str, Any]) -> int:
    from recbole_apa.experiment import read_experiment
    from recbole_apa.quick_start import evaluate_run, run

    if options.pop("plan", False):
        _plan(options)
        return 0
    comparing = {name: options.pop(name) for name in _COMPARING if name in options}
    drawn = {name: options.pop(name) for name in _DRAWN if name in options}
    if comparing and "forget_items" in options:
        drawn["forget_items"] = tuple(_words(options, "forget_items"))
        del options["forget_items"]
    if drawn and not comparing:
        raise SettingsError(f"--{min(drawn)}: expected together with --compare=NAMES, e.g. --compare=NPO,APA(D)")
    if comparing:
        kept = read_experiment(comparing["experiment"]) if comparing.get("experiment") else None
        if drawn or (kept and kept.forget):
            _compare_forgetting(comparing, kept, drawn, options)
        else:
            _compare(comparing, kept, options)
        return 0
    stage = {name: options.pop(name) for name in (*_FLAGS, *_NAMES, *_STAGE) if name in options}
    asked = any(stage.get(name) for name in (*_NAMES, "unlearn", "resume"))
    if "run" in options:
        folder = options.pop("run")
        if "copy_to" in options:
            _copy(folder, options)
            return 0
        changes = {k: v for k, v in options.items() if (k, v) != ("model", "APA")}
        if stage.get("audit") or stage.get("verify"):
            return _prove(folder, stage, changes)
        if asked:
            _unlearn(folder, stage, changes)
        else:
            evaluate_run(folder, changes, bool(stage.get("allow_pending")))
        return 0
    model, dataset = options.pop("model", "APA"), options.pop("dataset", "ml-100k")
    _refuse_stage(stage, asked, model)
    _refuse_near_misses(options)
    files = options.pop("config_files", "").split()
    if asked and _waits(options.get("run_dir")):
        print(f"{options['run_dir']}: a request waits there to be carried out; going on with it")
        _unlearn(options["run_dir"], {}, {})
        return 0
    if asked:
        _demands(stage)  # a malformed request is refused before the training, not after it
    result = run(model, dataset, files, options, run_dir=options.get("run_dir"))
    if asked:
        _unlearn(result, stage, {})
    return 0


def _copy(source: str, options: dict[str, Any]) -> None:
    from recbole_apa.storage.place import copy_run

    target = options.pop("copy_to")
    if options:
        raise SettingsError(f"--{min(options)} does not go with --copy_to")
    copy_run(source, target)
    print(f"copied to {target}; a later request to forget leaves this copy as it is")


def _plan(options: dict[str, Any]) -> None:
    from recbole_apa.capacity import Stream
    from recbole_apa.capacity_stage import plan_capacity

    numbers = {name: options.pop(name, usual) for name, usual in _PLANNED.items()}
    wrong = [n for n, v in numbers.items() if not isinstance(v, (int, float))]
    if wrong:
        raise SettingsError(f"--plan: found {wrong[0]} {numbers[wrong[0]]!r}, expected a number, e.g. --{wrong[0]}=500")
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


def _compare(comparing: dict[str, Any], kept: "Experiment | None", options: dict[str, Any]) -> None:
    from recbole_apa.comparison import compare

    words = [name.strip() for name in comparing.get("compare", "").split(",") if name.strip()]
    if not words and kept is None:
        raise SettingsError(f"--{min(comparing)}: expected together with --compare=NAMES, e.g. --compare=paper")
    model, dataset = options.pop("model", "APA"), options.pop("dataset", "ml-100k")
    if model != "APA":
        raise SettingsError(f"--compare: found --model={model}, expected --model=APA; name {model} in --compare")
    stage = sorted({"run", "run_dir", "unlearn", *_FLAGS, *_NAMES} & set(options))
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
    comparing: dict[str, Any], kept: "Experiment | None", drawn: dict[str, Any], options: dict[str, Any]
) -> None:
    from recbole_apa.forgetting import compare_forgetting
    from recbole_apa.methods.forget_task import ForgetRequest

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
    from recbole_apa.options import nearest
    from recbole_apa.settings import SETTING_KEYS

    for name in set(options) - SETTING_KEYS:
        near = nearest(name, [*_FLAGS, *_NAMES, *_COMPARING, *_STAGE], 0.8)
        if near:
            raise SettingsError(f"unknown option {name!r}; did you mean {near!r}?")


def _refuse_stage(stage: dict[str, Any], asked: bool, model: str) -> None:
    """What only a finished run can be asked."""
    late = sorted(name for name in ("audit", "verify", "resume", "dry_run", "allow_pending") if stage.get(name))
    if late:
        raise SettingsError(f"--{late[0]}: expected on a finished run, e.g. --run=saved/APA-ml-100k-... --{late[0]}")
    if asked and model != "APA":
        raise SettingsError(f"--unlearn: found --model={model}, expected --model=APA")


def _waits(run_dir: str | None) -> bool:
    """Whether the very command was given before, and was interrupted while it forgot."""
    from recbole_apa.ledger import Ledger
    from recbole_apa.run_store import RunStore
    from recbole_apa.storage.place import working_folder

    if not run_dir:
        return False
    with working_folder(run_dir, "reading", writes=False) as folder:
        store = RunStore(folder)
        return store.manifest_path.is_file() and bool(Ledger(folder, store.manifest()["salt"]).waiting())


def _demands(stage: dict[str, Any]) -> dict[str, Any]:
    """The request's own arguments, read."""
    from pathlib import Path

    from recbole_apa.unlearning.requests import read_demands

    if stage.get("unlearn"):
        read_demands(Path(stage["unlearn"]))
    pairs = [word.split(":") for word in _words(stage, "forget_interactions")]
    return {
        "requests": stage.get("unlearn"),
        "users": _words(stage, "forget_users"),
        "items": _words(stage, "forget_items"),
        "interactions": pairs,
    }


def _words(stage: dict[str, Any], name: str) -> list[str]:
    return [word.strip() for word in stage.get(name, "").strip("[]").split(",") if word.strip()]


def _unlearn(folder: Any, stage: dict[str, Any], changes: dict[str, Any]) -> None:
    from recbole_apa.unlearning.session import result_text, unlearn

    result = unlearn(
        folder,
        **_demands(stage),
        exactness=stage.get("exactness", "inherited"),
        method=stage.get("unlearn_method", "exact"),
        skip_unknown=bool(stage.get("skip_unknown")),
        dry_run=bool(stage.get("dry_run")),
        config_dict=changes,
    )
    print(result_text(result))


def _prove(folder: str, stage: dict[str, Any], changes: dict[str, Any]) -> int:
    holds = True
    if stage.get("audit"):
        from recbole_apa.unlearning.audit import audit

        audited = audit(folder, changes)
        print("\n".join(["checked: " + "; ".join(audited.checked), *(f"FOUND: {f}" for f in audited.findings)]))
        print(f"the audit {'holds' if audited.holds else 'does not hold'}; ledger head {audited.head}")
        holds = audited.holds
    if stage.get("verify"):
        from recbole_apa.unlearning.verify import verify

        verified = verify(folder, changes)
        print(
            "\n".join(["compared: " + ", ".join(verified.compared), *(f"DIFFERS: {d}" for d in verified.differences)])
        )
        says = (
            "equal, bit for bit, to training from scratch" if verified.holds else "not what training from scratch gives"
        )
        print(f"the run is {says} ({verified.seconds:.1f} s)")
        holds = holds and verified.holds
    return 0 if holds else 1
