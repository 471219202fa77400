"""What requests that were carried out together led to."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.plan import Plan

if TYPE_CHECKING:
    from recbole_apa.pipeline.build import RunResult


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
    """Training, without evaluation."""
    full_seconds: float | None
    """How long the first training of the whole state took."""
    n_trained: int
    """Shards that were trained again, or moved."""
    reopen: "Callable[[], RunResult]" = field(repr=False)
    """Gives the run in its new state: it is in RAM, or loaded when it is asked for."""
    method: str = EXACT
    """``exact``, or the name of an approximate method."""

    @cached_property
    def result(self) -> "RunResult":
        """The run in its new state. If the request changed no sample, no model was loaded: it is now."""
        return self.reopen()
