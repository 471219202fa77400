"""Where and how the work is done; decides nothing of what a run computes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Literal

from recbole_apa.core.option import Bounds, Checked, Says, option

_FOLDER = "a folder, or null"


@dataclass(frozen=True)
class PlacementSettings(Checked):
    """Where a backbone lies that one device cannot hold."""

    device_map: str | None = field(default=None, metadata=option(Says.MAY_CHANGE))
    """``auto`` and the like (accelerate): layers over all GPUs, what is left in main memory, then on disk; null puts
    all of it on ``device``."""
    max_memory: Mapping[int | str, int | str] | None = field(default=None, metadata=option(Says.MAY_CHANGE))
    """How much each may take, e.g. ``{0: 20GiB, cpu: 60GiB}``; null leaves it to accelerate."""
    offload_folder: str | None = field(default=None, metadata=option(Says.MAY_CHANGE))
    """Where weights go that are read from the disk; not needed for a safetensors folder."""
    gradient_checkpointing: bool = field(default=False, metadata=option(Says.MAY_CHANGE))
    """Keep each layer's input alone for the backward pass: less memory, a third more time."""


@dataclass(frozen=True)
class ExecutionSettings(Checked):
    """The machine, the workers, what is kept and what is shown."""

    placement: PlacementSettings
    device: int | str | None = field(
        metadata=option(Says.MAY_CHANGE | Says.VERBATIM, expected="e.g. cpu, cuda or cuda:1")
    )
    """``cpu``, ``cuda``, ``cuda:1``; null leaves it to RecBole's ``gpu_id`` and ``use_gpu``."""
    engine: Literal["local", "ray"] = field(metadata=option(Says.MAY_CHANGE))
    """``local``: this machine; ``ray``: a Ray cluster. The bytes of the adapters are the same."""
    workers: int | None = field(
        metadata=option(Says.MAY_CHANGE, bounds=Bounds(1), expected="a whole number of at least 1")
    )
    """How many work at once, each in a process of its own; the result is the same."""
    ray_address: str | None = field(metadata=option(Says.MAY_CHANGE, expected="a text, e.g. auto, or null"))
    """Of the cluster, e.g. ``auto`` or ``10.0.0.1:6379``; null starts Ray on this machine."""
    ray_cpus: float = field(metadata=option(Says.MAY_CHANGE, bounds=Bounds(0), expected="a number of at least 0"))
    """CPUs that a worker takes of the cluster."""
    ray_gpus: float = field(metadata=option(Says.MAY_CHANGE, bounds=Bounds(0), expected="a number of at least 0"))
    """GPUs that a worker takes of the cluster."""
    trunk_cache_gib: float = field(
        metadata=option(Says.MAY_CHANGE, bounds=Bounds(0), expected="a number of at least 0")
    )
    """Frozen activations kept in main memory, in GiB; the rest is computed again."""
    keep_states: bool = field(metadata=option(Says.MAY_CHANGE | Says.PASSED_OVER))
    """Keep frozen activations in the run folder too, so that a later request finds them."""
    variants: Literal["all", "chosen", "none"] = field(metadata=option(Says.MAY_CHANGE, expected="all, chosen or none"))
    """What the final table holds: ``all``; ``chosen``, the ``aggregation`` set and the rules alone; ``none``, no
    table."""
    show_progress: bool = field(metadata=option(Says.MAY_CHANGE | Says.PASSED_OVER))
    """Whether progress bars are shown."""
    log_dir: str | PathLike[str] | None = field(
        metadata=option(Says.MAY_CHANGE | Says.PASSED_OVER | Says.VERBATIM, expected=_FOLDER)
    )
    """Where RecBole's ``log/`` and ``log_tensorboard/`` are made; null takes the working folder."""
    key_file: str | PathLike[str] | None = field(
        metadata=option(Says.MAY_CHANGE | Says.PASSED_OVER | Says.VERBATIM, expected="a file, or null")
    )
    """The secret that forgotten names are hashed with; null takes ``RECBOLE_APA_KEY_FILE``, or ``keys.json`` among the
    user's settings."""
    plugins: tuple[str, ...] | None = field(
        metadata=option(Says.MAY_CHANGE, expected="a list of modules, e.g. [my_partition], or null")
    )
    """Modules to import first, which register partitions, weight rules and the like (docs/extending.md). Never taken
    from a run's manifest: it would run code of whoever wrote the folder."""
    export_samples: str | PathLike[str] | None = field(metadata=option(Says.VERBATIM, expected=_FOLDER))
    """A folder to which the samples are written as JSON lines, as the model will see them."""
