"""What is run, and where: arguments of :func:`recbole_apa.run` that the command line has as options.

They are not settings: no run's manifest holds them.
"""

from dataclasses import dataclass, field, fields

from recbole_apa.core.option import option


@dataclass(frozen=True)
class TrainArguments:
    """What is trained, and on what."""

    model: str = field(default="APA", metadata=option(shown="NAME"))
    """APA, or any RecBole model."""
    dataset: str = field(default="ml-100k", metadata=option(shown="NAME"))
    """A RecBole dataset; ml-100k comes with RecBole. ``--data_path=DIR`` says where others are."""
    config_files: str = field(default="", metadata=option(shown='"A B"'))
    """YAML files of options, separated by spaces."""


@dataclass(frozen=True)
class PlaceArguments:
    """Where a new run goes."""

    run_dir: str | None = field(default=None, metadata=option(shown="DIR"))
    """Where the run goes (default: ``saved/<model>-<dataset>-<time>``), also a URL such as ``s3://bucket/run``; an
    interrupted run there is finished."""


@dataclass(frozen=True)
class RunArguments:
    """A finished run."""

    run: str | None = field(default=None, metadata=option(shown="DIR"))
    """Load a finished run, from a folder or a URL, and evaluate it again, or do what other options say."""


ARGUMENTS = frozenset(f.name for group in (TrainArguments, PlaceArguments, RunArguments) for f in fields(group))
"""Their names."""
