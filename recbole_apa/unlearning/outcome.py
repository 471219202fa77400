"""What requests that were carried out together led to."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.plan import Plan
from recbole_apa.unlearning.requests.demands import Demand
from recbole_apa.unlearning.statistics_check import StatisticsDone

if TYPE_CHECKING:
    from recbole_apa.pipeline.build import RunResult
    from recbole_apa.unlearning.catching_up import CaughtUp


@dataclass
class Outcome:
    """The outcome of requests that were carried out together."""

    requests: list[int]
    """Their lines in the ledger."""
    plan: Plan
    certificates: list[Path]
    figures: dict[str, dict[str, float | None]]
    """Title -> before and after."""
    seconds: float
    """Training, with memory and statistics, without evaluation; at once all of it, without opening the run."""
    full_seconds: float | None
    """How long the first training of the whole state took."""
    n_trained: int
    """Shards that were trained again, or moved."""
    reopen: "Callable[[], RunResult]" = field(repr=False)
    """Gives the run in its new state: it is in RAM, or loaded when it is asked for."""
    method: str = EXACT
    """``exact``, or the name of an approximate method."""
    statistics: StatisticsDone | None = None
    """What became of collaborative statistics, if the run keeps them."""

    slices: Mapping[str, int] | None = None
    """Slices ``trained``, of a ``total``; None if shards are not cut into slices, or were moved."""
    served: Mapping[str, Mapping[str, int]] | None = None
    """After a request at once: shard -> slices ``served`` of ``total``, of those that lack some; otherwise None."""
    serves_nothing: bool = False
    """Whether nothing is left to serve until the run has caught up."""

    @cached_property
    def result(self) -> "RunResult":
        """The run in its new state. If the request changed no sample, no model was loaded: it is now."""
        return self.reopen()


@dataclass
class UnlearnResult:
    """What :func:`unlearn` did."""

    plan: Plan | None
    """Of the new request; None if only waiting ones were carried out."""
    outcomes: "list[Outcome]" = field(default_factory=list)
    """One for the requests that were waiting, if any, and one for the new request; empty for a dry run."""
    left: list[str] = field(default_factory=list)
    """What ``skip_unknown`` left out, and why; and requests, of several, that were carried out before."""
    finished: list[Path] = field(default_factory=list)
    """Certificates of requests that only lacked their last steps."""
    additions: list[int] = field(default_factory=list)
    """Lines of additions that were waiting and were carried out first."""
    caught_up: "CaughtUp | None" = None
    """What :func:`catch_up` trained."""
    shown: Callable[[Path], str] = field(default=str, repr=False)
    """Gives a certificate's path for display: where it is with the run."""

    @property
    def certificates(self) -> list[Path]:
        """Paths of all certificates that were written."""
        return self.finished + [path for outcome in self.outcomes for path in outcome.certificates]


@dataclass(frozen=True)
class NewRequest:
    """A request that was found in the data but is not in the ledger yet; looks like a ledger entry."""

    content: Mapping[str, Any]
    demands: Sequence[Demand] = ()
