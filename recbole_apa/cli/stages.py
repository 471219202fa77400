"""The options of each command, typed; all other options are RecBole's or APA's settings.

A field is one ``--name``: ``str`` takes the text as is, ``bool`` is a flag that needs no value, all others are read as
YAML and checked by the command. None means not given.
"""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class KeyOptions:
    """Work on the key file."""

    rotate_key: bool = False
    key_digests: bool = False
    run: str | None = None
    key_file: str | None = None


@dataclass(frozen=True)
class PlanOptions:
    """What a stream of requests costs."""

    plan: bool = False
    requests_per_day: object = None
    n_samples: object = None
    samples_per_request: object = 11
    workers: object = 1
    interval_minutes: object = 60
    shard_size: object = ()
    plan_dir: str = "saved/plan"
    run: str | None = None
    model: str = "APA"
    dataset: str = "ml-100k"


@dataclass(frozen=True)
class CompareOptions:
    """Methods on the same rows."""

    compare: str | None = None
    experiment: str | None = None
    seeds: object = None
    compare_dir: str | None = None
    slices: bool | None = None
    baseline_options: object = None


@dataclass(frozen=True)
class DrawOptions:
    """What a comparison of forgetting draws, to have it forgotten."""

    forget_ratio: object = None
    forget_users_ratio: object = None
    forget_n_interactions: object = None
    forget_n_users: object = None
    forget_who: str | None = None
    forget_items_with: str | None = None
    forget_one_by_one: bool | None = None


@dataclass(frozen=True)
class ForgetOptions:
    """A request to forget, and how it is carried out."""

    unlearn: str | None = None
    forget_users: str | None = None
    forget_items: str | None = None
    forget_interactions: str | None = None
    unlearn_columns: object = None
    unlearn_ids: object = None
    exactness: str | None = None
    unlearn_method: str | None = None
    other_machine: str | None = None
    dry_run: bool = False
    skip_unknown: bool = False
    resume: bool = False
    allow_pending: bool = False
    """Evaluates the old state while a request waits."""


@dataclass(frozen=True)
class ProveOptions:
    """Which proofs of a finished run to make."""

    audit: bool = False
    verify: bool = False


@dataclass(frozen=True)
class RunOptions:
    """A finished run."""

    run: str | None = None
    copy_to: str | None = None


@dataclass(frozen=True)
class TrainOptions:
    """What is trained, and on what."""

    model: str = "APA"
    dataset: str = "ml-100k"
    config_files: str = ""

    @property
    def files(self) -> list[str]:
        """The YAML files, separated by spaces in the option."""
        return self.config_files.split()


@dataclass(frozen=True)
class TuneOptions(TrainOptions):
    """A search for options."""

    ranges: object = None
    algo: str = "bayes"
    max_evals: object = None
    early_stop: object = None
    tune_dir: str | None = None


STAGES = (
    KeyOptions,
    PlanOptions,
    CompareOptions,
    DrawOptions,
    ForgetOptions,
    ProveOptions,
    RunOptions,
    TrainOptions,
    TuneOptions,
)


def names_of(*stages: type) -> frozenset[str]:
    """The options of some stages."""
    return frozenset(f.name for stage in stages for f in fields(stage))
