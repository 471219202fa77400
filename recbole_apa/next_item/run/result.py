"""What a request, catching up, or an addition did."""

from dataclasses import dataclass, field

from recbole_apa.next_item.change import Change
from recbole_apa.next_item.run.opened import NextItemRun


@dataclass
class ForgetResult:
    """What a call did."""

    change: Change | None = None
    """None if there was nothing new to forget."""
    n_interactions: int = 0
    n_shards: int = 0
    n_users: int = 0
    certificates: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What was left out, and why (``skip_unknown``)."""
    finished_additions: list[int] = field(default_factory=list)
    """The ledger's lines of additions that were waiting."""
    last_steps: list[int] = field(default_factory=list)
    """The ledger's lines, of whatever kind, of which an interrupted call had left nothing but last steps."""
    caught_up: list[int] | None = None
    """The shards whose missing adapters were trained, by catching up or along with a request; else None."""
    seconds: float = 0.0
    run: NextItemRun | None = None
    """The run in its new state; None for a dry run, and where only last steps were missing."""
    is_dry: bool = False
    is_at_once: bool = False
    """Whether the new request was to train nothing."""
    has_adapters: bool = False
    """Whether that makes a difference in this run."""
    slices: dict[str, dict[str, int]] = field(default_factory=dict)
    """Of shards that changed (:func:`~recbole_apa.next_item.title_slices.kept_slices`)."""
