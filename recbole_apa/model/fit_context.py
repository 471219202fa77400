"""What the steps of a training share."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from logging import getLogger

from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.places import Place, Places, Slices
from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import NO_INPUTS, FitInputs, Log
from recbole_apa.runs.manifest import ShardRecord
from recbole_apa.runs.store import RunStore


@dataclass
class FitRecord:
    """Facts about a training for the report; not part of the state."""

    sizes: list[int] = field(default_factory=list)
    shards: list[ShardRecord] = field(default_factory=list)
    trained: list[int] = field(default_factory=list)
    """Shards trained in this training."""
    taken_over: list[int] = field(default_factory=list)
    """Shards whose adapters come from the preceding state."""
    as_served: list[int] = field(default_factory=list)
    """Shards whose adapters are those that the preceding state serves: these, and prefixes that stay."""
    prefixes: dict[int, Place] = field(default_factory=dict)
    """Shard -> the first place that its adapter lacks."""
    n_chained: dict[int, int] = field(default_factory=dict)
    """Shard -> how many slices it has, additions counted separately."""
    n_served: dict[int, int] = field(default_factory=dict)
    """Shard -> how many of these its adapter was trained on."""
    n_new: dict[int, int] = field(default_factory=dict)
    """Shard -> how many of the slices that its adapter was trained on the preceding state did not have: trained for the
    state that is made, also before an interruption."""
    moved: list[int] = field(default_factory=list)
    """Shards whose adapters an approximate method moved, in this training or before."""
    n_places: int = 0
    """Slices of shards that were trained in this training; a shard without slices counts as one."""
    seconds: dict[str, float] = field(default_factory=dict)
    tau: float = 0.0
    n_neighbors: int = 0
    n_cut_prompts: int = 0
    n_cut_lines: int = 0

    def add_seconds(self, name: str, start: float) -> None:
        """Add the time since ``start`` (``time.perf_counter``)."""
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


def no_log(name: str, value: float, step: int) -> None:
    """Logs nothing."""


@dataclass(frozen=True)
class FitContext:
    """The model, store and inputs of one training.

    Args:
        store: where each part is kept as soon as it is finished; None keeps nothing.
    """

    model: APA
    record: FitRecord = field(default_factory=FitRecord)
    store: RunStore | None = None
    inputs: FitInputs = NO_INPUTS
    log: Log = no_log
    show_progress: bool = False

    @property
    def places(self) -> Places:
        """When each training sample is trained."""
        settings = self.model.settings
        return Places(self.inputs.pieces, Slices(settings.training.shard_slices, settings.seed, self.inputs.listed))

    @property
    def validates(self) -> bool:
        """Whether the new state is judged on the validation samples. Figures of one that is left at once are made
        later; then evidence alone needs the model's scores of them."""
        return not self.inputs.serves_prefixes or self.model.settings.collaborative.counts

    def count_cuts(self, prompts: Sequence[TokenizedPrompt]) -> None:
        """Record and log how many prompts lost lines to fit."""
        n_cut, n_lines = sum(p.n_cut > 0 for p in prompts), sum(p.n_cut for p in prompts)
        if n_cut:
            limit = self.model.settings.prompts.max_prompt_tokens
            getLogger().info(
                f"{n_cut} of {len(prompts)} prompts lost {n_lines} of their oldest lines to fit {limit} tokens"
            )
        self.record.n_cut_prompts += n_cut
        self.record.n_cut_lines += n_lines
