"""``--plan``: step times measured on a run, or on a small one made for the plan; the plan's table and figure."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs
from tabulate import tabulate

from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.files.whole import write_json, write_text
from recbole_apa.evaluation.report.pages import render
from recbole_apa.partition import PARTITIONERS
from recbole_apa.pipeline.build import RunResult, open_run
from recbole_apa.pipeline.quick_start import run
from recbole_apa.runs.log import own_log
from recbole_apa.runs.names import TO_MAKE, shard_name
from recbole_apa.runs.remote.working_copy import open_place
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.capacity import Capacity, StepCosts, Stream, plan
from recbole_apa.unlearning.capacity_disk import INDEX_ROW_BYTES, measured_disk

SMALL: dict[str, Any] = {"train_samples": 64, "valid_samples": 16, "test_samples": 1, "n_shards": 2, "variants": "none"}
"""What is trained if no run is named."""
HEAD = (
    "K",
    "samples a shard",
    "s a shard",
    "h a day, at once",
    "h a day, batched",
    "p95 at once",
    "p95 batched",
    "s to the certificate, --at_once",
    "h a night, --catch_up",
    "batching sooner from",
    "disk",
    "disk, at most",
    "RAM, serving",
)


@dataclass(frozen=True)
class CapacityPlan:
    """Result of :func:`plan_capacity`."""

    stream: Stream
    costs: StepCosts
    lines: Sequence[Capacity]
    folder: Path
    """Holds ``plan.json`` and ``plan.html``."""

    @property
    def table(self) -> str:
        """For a terminal."""
        return tabulate([_cells(line) for line in self.lines], HEAD, disable_numparse=True)

    def fields(self) -> dict[str, object]:
        """As ``plan.json`` has it: numbers, and null for what is infinite."""
        return {
            "stream": asdict(self.stream),
            "costs": asdict(self.costs),
            "plan": [_line_fields(line) for line in self.lines],
        }


def _line_fields(line: Capacity) -> dict[str, object]:
    values = {k: v if not isinstance(v, float) or math.isfinite(v) else None for k, v in asdict(line).items()}
    return {**values, "disk": {**asdict(line.disk), "total": line.disk.total, "peak": line.disk.peak}}


def measured_costs(made: RunResult, n_valid: int | None = None) -> StepCosts:
    """How long a finished run's training took, per sample and per score, and what it takes on disk.

    Args:
        n_valid: validation samples in the planned memory; None means as many as the run has.

    Raises:
        RunError: adapters, or parts of them, are missing until the run has caught up, or an approximate method moved
            some.
    """
    manifest = RunStore(made.store.storage).manifest()
    if TO_MAKE in manifest:
        raise RunError(
            f"{made.store.place} serves prefixes after a request at once: --catch_up, then plan by its times"
        )
    if moved := RunStore(made.store.storage).moved_shards(len(manifest["full_training"]["shard_samples"])):
        raise RunError(
            f"{made.store.place}: an approximate method moved {', '.join(map(shard_name, moved))}, which have no "
            "restart points; make an exact request, then plan by its times and sizes"
        )
    full = manifest["full_training"]
    n_train, n_scored = sum(full["shard_samples"]), len(made.data.valid_set.samples)
    active = sum(n > 0 for n in full["shard_samples"])
    bank = made.model.engine.bank
    return StepCosts(
        (full["seconds"] - full["memory_seconds"]) / n_train,
        full["memory_seconds"] / (n_scored * active) if n_scored else 0.0,
        n_scored if n_valid is None else n_valid,
        sum(p.nbytes for p in bank.parameters()) // bank.n_adapters,
        sum(p.nbytes for p in made.model.backbone.parameters()) - sum(p.nbytes for p in bank.parameters()),
        measured_disk(made.store.folder, len(made.data.train_set.raw_interactions), INDEX_ROW_BYTES),
        made.model.settings.training.shard_slices,
    )


@own_log()
def plan_capacity(
    stream: Stream,
    shard_sizes: Sequence[int] = (),
    run_dir: str | Path | None = None,
    dataset: str = "ml-100k",
    config_dict: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
) -> CapacityPlan:
    """What serving a stream of requests costs, for a range of K.

    Args:
        shard_sizes: samples per shard; empty means powers of four from 64.
        run_dir: a finished run whose times are used; None trains a small one now.
        folder: where ``plan.json`` and ``plan.html`` go (default ``saved/plan``).

    Raises:
        SettingsError: a number that is out of range.
        RunError: the run cannot be loaded.
    """
    _check(stream, shard_sizes)
    if run_dir is not None:
        with open_place(run_dir, "planning", writes=False) as here:
            costs = measured_costs(made := open_run(RunStore(here), config_dict))
    else:
        n_valid = (config_dict or {}).get("valid_samples")
        with tempfile.TemporaryDirectory() as scratch:
            made = run("APA", dataset, config_dict={**(config_dict or {}), **SMALL}, run_dir=Path(scratch) / "run")
            costs = measured_costs(made, 250 if n_valid is None else n_valid)
    divides = PARTITIONERS.find(made.model.settings.partition.partition)
    stream = stream.reaching(divides.keeps_users_whole)
    sizes = list(shard_sizes) or [4**n for n in range(3, 12) if 4**n <= stream.n_samples] or [stream.n_samples]
    lines = plan(stream, costs, sizes)
    target = Path(folder) if folder else Path("saved") / "plan"
    made_plan = CapacityPlan(stream, costs, lines, target)
    write_json(target / "plan.json", made_plan.fields())
    write_text(target / "plan.html", _page(stream, costs, lines))
    return made_plan


def _check(stream: Stream, sizes: Sequence[int]) -> None:
    for name, value in vars(stream).items():
        if name in ("n_interactions", "samples_per_request") and value is None:
            continue
        if not isinstance(value, (int, float)) or not value > 0 or (name != "requests_per_day" and value < 1):
            raise SettingsError(f"{name}: found {value!r}, expected a number of at least 1")
    wrong = [size for size in sizes if not isinstance(size, int) or not 1 <= size <= stream.n_samples]
    if wrong:
        raise SettingsError(f"shard_size: found {wrong[0]!r}, expected 1 to n_samples ({stream.n_samples})")


def _cells(line: Capacity) -> list[str]:
    return [
        f"{line.n_shards:,}",
        f"{line.shard_size:,}",
        f"{line.shard_seconds:.1f}",
        f"{line.hours_at_once:.1f}",
        f"{line.hours_batched:.1f}",
        _duration(line.p95_at_once),
        _duration(line.p95_batched),
        f"{line.seconds_of_prefix:.1f}",
        f"{line.hours_caught_up:.1f}",
        f"{line.break_even:,.0f} a day" if math.isfinite(line.break_even) else "-",
        f"{line.disk.total / 2**20:,.0f} MiB",
        f"{line.disk.peak / 2**20:,.0f} MiB",
        f"{line.serving_bytes / 2**20:,.0f} MiB",
    ]


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "piles up"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _page(stream: Stream, costs: StepCosts, lines: Sequence[Capacity]) -> str:
    figure = go.Figure()
    for name, values in (
        ("at once", [line.hours_at_once for line in lines]),
        ("batched", [line.hours_batched for line in lines]),
    ):
        figure.add_scatter(x=[line.n_shards for line in lines], y=values, mode="lines+markers", name=name)
    figure.update_layout(
        template="plotly_white", height=460, xaxis_title="shards", yaxis_title="workers' hours a day", xaxis_type="log"
    )
    return render(
        "capacity.html",
        title="How many shards?",
        stream=stream,
        costs=costs,
        headers=HEAD,
        rows=[_cells(line) for line in lines],
        drawing=figure.to_html(full_html=False, include_plotlyjs=False),
        plotly=get_plotlyjs(),
    )
