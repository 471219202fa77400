"""Where and how the work is done; nothing here affects what a run computes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Literal

from recbole_apa.core.option import Bounds, Checked, Says, option

_FOLDER = "a folder, or null"


@dataclass(frozen=True)
class PlacementSettings(Checked):
    """How a backbone too large for one device is placed."""

    device_map: str | None = field(default=None, metadata=option(Says.MAY_CHANGE))
    """Accelerate's device map, e.g. ``auto``: layers go to the GPUs first, then to main memory, then to disk; null puts
    all of them on ``device``."""
    max_memory: Mapping[int | str, int | str] | None = field(default=None, metadata=option(Says.MAY_CHANGE))
    """The most memory to use on each device, e.g. ``{0: 20GiB, cpu: 60GiB}``; null leaves it to accelerate."""
    offload_folder: str | None = field(default=None, metadata=option(Says.MAY_CHANGE))
    """Folder for weights offloaded to disk; not needed if the backbone is a safetensors folder."""
    gradient_checkpointing: bool = field(default=False, metadata=option(Says.MAY_CHANGE))
    """Keep only each layer's input for the backward pass: less memory, a third more time."""


@dataclass(frozen=True)
class ExecutionSettings(Checked):
    """The machine, the workers, what is kept and what is displayed."""

    placement: PlacementSettings
    device: int | str | None = field(
        metadata=option(Says.MAY_CHANGE | Says.VERBATIM, expected="e.g. cpu, cuda or cuda:1")
    )
    """``cpu``, ``cuda``, ``cuda:1``; null leaves it to RecBole's ``gpu_id`` and ``use_gpu``."""
    engine: Literal["local", "ray"] = field(metadata=option(Says.MAY_CHANGE))
    """``local``: this machine; ``ray``: a Ray cluster. The adapters are the same to the byte."""
    workers: int | None = field(
        metadata=option(Says.MAY_CHANGE, bounds=Bounds(1), expected="a whole number of at least 1")
    )
    """How many workers run at once, each in its own process; the result does not depend on it."""
    ray_address: str | None = field(metadata=option(Says.MAY_CHANGE, expected="a text, e.g. auto, or null"))
    """Address of the Ray cluster, e.g. ``auto`` or ``10.0.0.1:6379``; null starts Ray on this machine."""
    ray_cpus: float = field(metadata=option(Says.MAY_CHANGE, bounds=Bounds(0), expected="a number of at least 0"))
    """CPUs of the cluster that each worker reserves."""
    ray_gpus: float = field(metadata=option(Says.MAY_CHANGE, bounds=Bounds(0), expected="a number of at least 0"))
    """GPUs of the cluster that each worker reserves."""
    trunk_cache_gib: float = field(
        metadata=option(Says.MAY_CHANGE, bounds=Bounds(0), expected="a number of at least 0")
    )
    """How many GiB of frozen activations to keep in main memory; the rest are recomputed."""
    keep_states: bool | Literal["validation"] = field(
        metadata=option(Says.MAY_CHANGE | Says.PASSED_OVER, expected="true, false or validation")
    )
    """Also keep frozen activations in the run folder, for later requests to use: of all training and validation
    samples; ``validation``, of the validation samples alone, which the memory is scored with at every request, if they
    take no more than 256 MiB. A finished run goes on keeping what it has."""
    variants: Literal["all", "chosen", "none"] = field(metadata=option(Says.MAY_CHANGE, expected="all, chosen or none"))
    """What the final table shows: ``chosen``, the configured ``aggregation``, evidence, ``baselines`` and the rules;
    ``all``, also each adapter alone and the other aggregations; ``none``, no table."""
    baselines: tuple[str, ...] = field(
        metadata=option(Says.MAY_CHANGE, expected="a list of RecBole models, e.g. [FM, DeepFM], or []")
    )
    """RecBole models that learn from labels, trained for the table of a new run on all rows of the training period;
    they are not kept, and a request to forget, or an addition, strikes their rows. With ``--run`` they are trained if
    given."""
    prefix_figures: bool = field(metadata=option(Says.MAY_CHANGE))
    """With ``shard_slices``: also make figures by slices served, as if all shards had been trained on their first
    slices alone. For each number of slices but the last this scores the validation samples with every adapter and their
    mixture, and the test samples once; a request to forget, or an addition, strikes them unless it is given again. With
    ``--run`` they are made if given. A run with adapters that an approximate method moved has none."""
    intervals: Literal["users", "rows"] = field(metadata=option(Says.MAY_CHANGE, expected="users or rows"))
    """What the intervals of tables resample: whole ``users`` with all their rows (one user's rows are alike), or
    ``rows``."""
    show_progress: bool = field(metadata=option(Says.MAY_CHANGE | Says.PASSED_OVER))
    """Whether to show progress bars."""
    log_dir: str | PathLike[str] | None = field(
        metadata=option(Says.MAY_CHANGE | Says.PASSED_OVER | Says.VERBATIM, expected=_FOLDER)
    )
    """Where RecBole's ``log/`` and ``log_tensorboard/`` are created; null means the working directory."""
    slice_order: str | PathLike[str] | None = field(
        metadata=option(Says.PASSED_OVER | Says.VERBATIM, expected="a file, or null")
    )
    """With ``shard_slices``: a CSV file ``user_id,likelihood`` of how likely users are to ask to be forgotten, 0 to 1;
    the likely are trained last. Read once, in the first training: a run keeps it by keyed digests alone, and needs its
    key from then on."""
    key_file: str | PathLike[str] | None = field(
        metadata=option(Says.MAY_CHANGE | Says.PASSED_OVER | Says.VERBATIM, expected="a file, or null")
    )
    """File of the secret that forgotten names are hashed with; null means ``RECBOLE_APA_KEY_FILE``, or else
    ``keys.json`` in the user's settings folder."""
    plugins: tuple[str, ...] | None = field(
        metadata=option(Says.MAY_CHANGE, expected="a list of modules, e.g. [my_partition], or null")
    )
    """Modules to import first, which register partitions, weight rules and the like (docs/extending.md). Never read
    from a run's manifest: that would run code chosen by whoever wrote the folder."""
    export_samples: str | PathLike[str] | None = field(metadata=option(Says.VERBATIM, expected=_FOLDER))
    """A folder to write the samples to as JSON lines, as the model will see them."""
