"""The options of each command: every field is one ``--name``, with its type, what it does, and what goes with it.

All other options are RecBole's or APA's settings. A ``str`` takes the text as it is, a ``bool`` is a flag that needs no
value, every other value is read as YAML. None means not given. What a field declares besides is its metadata
(:func:`told`); the help and all lists of names are derived from these classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from recbole_apa.cli.option_facts import USE, Use, told
from recbole_apa.core.arguments import PlaceArguments, RunArguments, TrainArguments
from recbole_apa.core.option import Bounds

_MANNER = Use.MANNER | Use.AS_MADE
_ABOVE_0 = Bounds(above=0)


@dataclass(frozen=True)
class TrainOptions(TrainArguments):
    """What is trained, and on what."""

    @property
    def files(self) -> list[str]:
        """The YAML files, separated by spaces in the option."""
        return self.config_files.split()


@dataclass(frozen=True)
class RunOptions(RunArguments):
    """A finished run."""

    copy_to: str | None = field(default=None, metadata=told("DIR", Use.ON_FINISHED))
    """Copy the run instead."""


@dataclass(frozen=True)
class OutputOptions:
    """What is printed, by any command."""

    json: bool = field(default=False, metadata=told())
    """Print the result as one JSON object, for programs."""


@dataclass(frozen=True)
class ForgetOptions:
    """Forgetting, as a stage of a new run or on a finished one (--run=DIR)."""

    unlearn: str | None = field(default=None, metadata=told("FILE", Use.NAMES_DATA))
    """A request: .csv, .jsonl or .inter with user_id, item_id or both in each line."""
    gather: str | None = field(default=None, metadata=told("DIR", Use.NAMES_DATA))
    """A folder of such files, in the order of their names: each is a request with a certificate of its own, carried out
    together, so that each shard is trained again once."""
    unlearn_columns: Mapping[str, object] | None = field(
        default=None,
        metadata=told('"{user_id: uid, ignore: [tag]}"', _MANNER, expected="e.g. {user_id: ..., item_id: ...}"),
    )
    """If the file's columns have other names; ``ignore`` lists those to leave out."""
    unlearn_ids: Mapping[str, object] | None = field(
        default=None, metadata=told('"{item_id: items.csv}"', _MANNER, expected="e.g. {user_id: ..., item_id: ...}")
    )
    """If the file's ids are not the dataset's: CSV files of its id and the dataset's."""
    forget_users: str | None = field(default=None, metadata=told("12,57", Use.NAMES_DATA))
    """Whole users."""
    forget_items: str | None = field(default=None, metadata=told("50,181", Use.NAMES_DATA))
    """Whole items; in a comparison, what its methods forget."""
    forget_interactions: str | None = field(default=None, metadata=told("12:50,57:181", Use.NAMES_DATA))
    """Ratings, as user:item or user:item:time."""
    exactness: str | None = field(default=None, metadata=told("LEVEL", _MANNER))
    """What is kept of the training before (default: ``inherited``, the paper)."""
    unlearn_method: str | None = field(default=None, metadata=told("NPO", _MANNER))
    """Move the affected adapters instead of training them again: approximate, and certified as such."""
    other_machine: str | None = field(default=None, metadata=told("retrain", Use.MANNER | Use.WITH_ADD))
    """If the run comes from another kind of processor or torch: ``retrain`` all shards here; ``accept`` a certificate
    that does not promise equal bits; ``refuse``, the default."""
    dry_run: bool = field(default=False, metadata=told(use=_MANNER | Use.ON_FINISHED | Use.WITH_ADD))
    """Show what a request, or an addition, affects and costs; change nothing."""
    skip_unknown: bool = field(default=False, metadata=told(use=_MANNER))
    """Forget what can be found, list the rest."""
    at_once: bool = field(default=False, metadata=told(use=_MANNER))
    """Train nothing now: serve each affected shard as it was before the first slice that saw what is forgotten."""
    catch_up: bool = field(default=False, metadata=told(use=Use.ON_FINISHED))
    """Train what requests with --at_once left untrained, and make figures and report."""
    resume: bool = field(default=False, metadata=told(use=Use.ON_FINISHED))
    """Finish requests and additions that were interrupted."""
    allow_pending: bool = field(default=False, metadata=told(use=Use.ON_FINISHED))
    """Evaluate the old state while a request waits."""


@dataclass(frozen=True)
class AddOptions:
    """Growth: adding interactions to a finished run (--run=DIR)."""

    add: str | None = field(default=None, metadata=told("FILE", Use.ON_FINISHED))
    """Interactions that join the run: .inter, .csv or .jsonl with user, item, what the label comes from, and the time
    in each line. Also with --dry_run, --other_machine."""
    add_columns: Mapping[str, object] | None = field(
        default=None,
        metadata=told(
            '"{user_id: uid, ignore: [tag]}"', Use.ON_FINISHED, expected="e.g. {user_id: ..., ignore: [...]}"
        ),
    )
    """If the file's columns have other names than the dataset's; ``ignore`` lists those to leave out."""
    readmit: bool = field(default=False, metadata=told(use=Use.ON_FINISHED))
    """Take rows that name something forgotten, too: on purpose, as a person who came back. The ledger records it."""


@dataclass(frozen=True)
class ProveOptions:
    """Proving a finished run (--run=DIR): status 0 if it holds, 1 if not."""

    audit: bool = field(default=False, metadata=told(use=Use.ON_FINISHED))
    """Prove it in seconds: digests, lineage, ledger, leftovers."""
    verify: bool = field(default=False, metadata=told(use=Use.ON_FINISHED))
    """Prove it by training again from scratch and comparing."""


@dataclass(frozen=True)
class PredictOptions:
    """Predicting by a finished run (--run=DIR)."""

    predict: str | None = field(default=None, metadata=told("12:50,12:181", Use.ON_FINISHED))
    """Whether users will like items, as user:item."""


@dataclass(frozen=True)
class RecommendOptions:
    """The best items for a user, by a finished run (--run=DIR)."""

    recommend: str | None = field(default=None, metadata=told("12", Use.ON_FINISHED))
    """What a user may choose next (APANext) or like (APA), with what speaks for it; several users separated by commas.
    ``--k=10`` says how many items."""
    export_recommendations: str | None = field(default=None, metadata=told("FILE.csv", Use.ON_FINISHED))
    """Write such a list for every user; ``--k=10`` likewise."""
    candidates: int | None = field(default=None, metadata=told("100", Use.ON_FINISHED, Bounds(1)))
    """With a run of APA: let the language model read so many items that evidence ranks first, instead of all."""


@dataclass(frozen=True)
class KeyOptions(RunArguments):
    """The key file, the secret that forgotten names are hashed with."""

    key_file: str | None = field(default=None, metadata=told("FILE"))
    """The file, outside every run; also RECBOLE_APA_KEY_FILE (default: recbole-apa/keys.json among your settings). Keep
    a copy: without it a run that has forgotten something, or has grown, does not open."""
    rotate_key: bool = field(default=False, metadata=told(use=Use.CHOOSES))
    """Add a new key to it."""
    key_digests: bool = field(default=False, metadata=told(use=Use.CHOOSES))
    """With --run=DIR: key digests that an older version only salted."""


@dataclass(frozen=True)
class CompareOptions:
    """Comparing, on the same test rows."""

    compare: str | None = field(default=None, metadata=told("NAMES"))
    """Retraining, SISA, RecEraser, GraphEraser, RecBole's models (but those on knowledge graphs), APA:option=value, ...
    or the groups paper, recbole, rules, evidence, ablations, all."""
    experiment: str | None = field(default=None, metadata=told("table1"))
    """A comparison kept in properties/experiments/ (table1, partition, weights, ...), or a file."""
    seeds: int | None = field(
        default=None, metadata=told("3", bounds=Bounds(1), expected="a whole number of at least 1")
    )
    """How many seeds (default: 1)."""
    redraw: bool | None = field(default=None, metadata=told())
    """Each seed draws other samples, too."""
    all_test_rows: bool | None = field(default=None, metadata=told())
    """A second table: rows that need no language model, on every row of the test split."""
    time_requests: bool | None = field(default=None, metadata=told("False"))
    """Whether each row also forgets one interaction, to time it (default: yes); most models are trained again for
    that."""
    compare_dir: str | None = field(default=None, metadata=told("DIR"))
    """Where rows, tables and report go (default: saved/compare-DATASET, or saved/forget-DATASET for ways of
    forgetting); finished rows are kept. No request to forget reaches that folder."""
    slices: bool | None = field(default=None, metadata=told())
    """Tables of cold and warm users, short and long histories, rare and popular items."""
    baseline_options: Mapping[str, object] | None = field(
        default=None,
        metadata=told('"{LightGCN: {epochs: 20}}"', expected="options by model, e.g. {BPR: {epochs: 20}}"),
    )
    """RecBole options by model."""
    baseline_data: str | None = field(default=None, metadata=told("shown"))
    """What RecBole's models learn from: all rows of the training period (the default), those of them that prompts have
    shown, or the targets drawn for training."""


_SHARE, _NUMBER = "a share, e.g. 0.05", "a number, e.g. 1"


@dataclass(frozen=True)
class DrawOptions:
    """Comparing how methods forget: --compare=GradDiff,NPO,E2URec,APA(D) with --forget_items, or one of."""

    forget_ratio: int | float | None = field(default=None, metadata=told("0.05", expected=_SHARE))
    """A share of the training samples' targets."""
    forget_users_ratio: int | float | None = field(default=None, metadata=told("0.05", expected=_SHARE))
    """A share of the users with training samples, with all that they rated."""
    forget_n_interactions: int | None = field(default=None, metadata=told("20", expected=_NUMBER))
    """This many targets of training samples."""
    forget_n_users: int | None = field(default=None, metadata=told("1", expected=_NUMBER))
    """This many users with training samples."""
    forget_who: str | None = field(default=None, metadata=told("core"))
    """Which users: random, core (most active), edge (least active)."""
    forget_items_with: str | None = field(default=None, metadata=told("class=Horror"))
    """Items whose column contains a word."""
    forget_one_by_one: bool | None = field(default=None, metadata=told())
    """A request for each."""


_EACH_ABOVE_0 = "a number above 0, e.g. 500"


@dataclass(frozen=True)
class PlanOptions(RunArguments):
    """How many shards? What a stream of requests costs, by times of a run (--run=DIR) or of a small one made now."""

    plan: bool = field(default=False, metadata=told(use=Use.CHOOSES))
    """Make the plan."""
    requests_per_day: int | float | None = field(
        default=None, metadata=told("500", Use.STREAM, _ABOVE_0, _EACH_ABOVE_0)
    )
    """Requests a day."""
    n_samples: int | float | None = field(
        default=None, metadata=told("10_000_000", Use.STREAM, _ABOVE_0, _EACH_ABOVE_0)
    )
    """Training samples."""
    dataset_interactions: int | float | None = field(
        default=None, metadata=told("20_000_000", bounds=_ABOVE_0, expected=_EACH_ABOVE_0)
    )
    """Interactions of the dataset, for the disk that its index takes (default: as many as training samples)."""
    samples_per_request: int | None = field(default=None, metadata=told("11", bounds=_ABOVE_0, expected=_NUMBER))
    """Samples that a request affects, each in any shard (default: 1 if shards are of whole users, else 11)."""
    workers: int | float = field(default=1, metadata=told("8", Use.STREAM, _ABOVE_0, _EACH_ABOVE_0))
    """Workers that retrain shards."""
    interval_minutes: int | float = field(default=60, metadata=told("60", Use.STREAM, _ABOVE_0, _EACH_ABOVE_0))
    """How long requests are collected when they are served together."""
    shard_size: int | list[int] | None = field(
        default=None, metadata=told('"[256, 1024]"', expected="whole numbers, e.g. [256, 1024]")
    )
    """Samples in a shard (default: powers of four)."""
    plan_dir: str = field(default="saved/plan", metadata=told("DIR"))
    """Where plan and figure go."""
    model: str = field(default="APA", metadata=told("APA"))
    """APA: other models have no shards."""
    dataset: str = field(default="ml-100k", metadata=told("NAME"))
    """Dataset of the small run."""


@dataclass(frozen=True)
class TuneOptions(TrainOptions):
    """A search for options: tune --model=APA --dataset=ml-100k."""

    ranges: str | Mapping[str, object] | None = field(
        default=None, metadata=told("FILE", expected="a file, e.g. --ranges=ranges.yaml")
    )
    """What is tried: YAML such as ``learning_rate: {log_between: [0.0005, 0.01]}``, or a file of RecBole's
    run_hyper.py; APA's default is properties/tuning/APA.yaml."""
    algo: str = field(default="bayes", metadata=told("bayes"))
    """bayes, random (both need hyperopt: pip install ".[tune]"), or exhaustive: every point."""
    max_evals: int | None = field(
        default=None, metadata=told("10", bounds=Bounds(1), expected="a whole number of at least 1")
    )
    """How many trials."""
    early_stop: int | None = field(
        default=None, metadata=told("5", bounds=Bounds(1), expected="a whole number of at least 1")
    )
    """End after this many trials in a row without a better one."""
    tune_dir: str | None = field(default=None, metadata=told("DIR"))
    """Where trials.json and best.yaml go (default: ``saved/tune-<model>-<dataset>-<time>``)."""


STAGES = (
    TrainOptions,
    PlaceArguments,
    RunOptions,
    OutputOptions,
    ForgetOptions,
    AddOptions,
    ProveOptions,
    PredictOptions,
    RecommendOptions,
    KeyOptions,
    CompareOptions,
    DrawOptions,
    PlanOptions,
    TuneOptions,
)


def names_of(*stages: type) -> frozenset[str]:
    """The options of some stages."""
    return frozenset(f.name for stage in stages for f in fields(stage))


def names_for(use: Use, *stages: type) -> tuple[str, ...]:
    """The options of some stages for which a fact is declared, in the order of their fields."""
    return tuple(f.name for stage in stages for f in fields(stage) if use in f.metadata.get(USE, Use.NOTHING))
