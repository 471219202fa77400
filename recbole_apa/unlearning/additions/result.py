"""What an addition would do, and what it did."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from recbole_apa.pipeline.build import RunResult


@dataclass(frozen=True)
class AdditionPlan:
    """What an addition brings, and what it trains."""

    n_rows: int
    """Rows that join the run."""
    n_readmitted: int
    """Those of them that name something forgotten."""
    n_users: int
    """Users among them whom the run did not have."""
    n_items: int
    """Items among them that the run did not have."""
    roles: Mapping[str, int]
    """Split -> how many of the rows belong to it; those that a filter drops belong to none."""
    samples: Mapping[str, int]
    """Split -> how many of them become samples."""
    piece: int
    """Number of the piece of each shard that the training samples form."""
    shards: Mapping[int, int]
    """Shard -> how many training samples it gets; these shards are trained."""
    n_shards: int
    """K."""
    estimated_seconds: float | None
    """Of training, from the first training's cost a sample; None if it is not known."""

    @property
    def n_train_samples(self) -> int:
        """Samples to train on."""
        return sum(self.shards.values())


@dataclass
class AddResult:
    """What :func:`~recbole_apa.unlearning.additions.stage.add` did."""

    plan: AdditionPlan | None
    """Of the new addition; None if it had been taken by an earlier call, and was finished by this one."""
    position: int | None = None
    """The addition's line in the ledger; None for a dry run."""
    finished: list[int] = field(default_factory=list)
    """Lines of waiting requests and additions that were carried out first."""
    certificates: list[Path] = field(default_factory=list)
    """Those of the requests among them."""
    figures: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    """Title -> before and after."""
    seconds: float = 0.0
    """Training, without evaluation."""
    shown: Callable[[Path], str] = field(default=str, repr=False)
    """Gives a certificate's path for display: where it is with the run."""
    reopen: "Callable[[], RunResult] | None" = field(default=None, repr=False)
    """Gives the run in its new state; None for a dry run."""

    @cached_property
    def result(self) -> "RunResult | None":
        """The run in its new state; None for a dry run."""
        return self.reopen() if self.reopen else None
