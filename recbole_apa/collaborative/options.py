"""Constants of collaborative terms."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

STATE_WIDTH = 0.01
"""Of cosines, see :meth:`~recbole_apa.collaborative.item_states.ItemStates.closeness`: chosen on rows of ml-100k's
training period with the default backbone (``python -m benchmarks.content_states``)."""


@dataclass(frozen=True)
class TermOptions:
    """How terms are computed. The defaults were chosen on rows of ml-100k's training period (``python -m
    benchmarks.collaborative``), never on rows that anything is tested on."""

    use_ratings: bool = False
    """Take what labels are made of, e.g. ratings, in place of labels."""
    item_strength: float = 5.0
    """How many rows the mean of all rows stands for in an item's mean."""
    user_strength: float = 1.0
    """How many rows it stands for in the rate of a user's past."""
    recency: float = 0.9
    """Weight of a row of the past, relative to the next one, in the recent rate and bias: in (0, 1]."""
    bias_strength: float = 5.0
    """How many rows without a residual are added to those that a user's bias is the mean of."""
    pair_shrinkage: float = 100.0
    """Similarities of n users are multiplied by n / (n + this)."""
    neighbors: int = 50
    """How many items of the past, those most alike to the target, speak for it."""
    neighbor_strength: float = 1.0
    """Similarity of rows without a residual that are added to them."""
    years: float = 10.0
    """Items that this many years lie between are 1/e as close."""
    content_strength: float = 2.0
    """Closeness of rows without a residual that are added to those of the past."""
    past: int = 0
    """How many rows of a past are looked at, the latest ones: 0 for all of them, or as many as prompts show. Of others,
    a request that changes no sample could bring rows in that no pair is counted for."""
    state_width: float = 0.0
    """Items whose states' cosine is 1 less this are 1/e as close; 0 if no state is looked at."""

    def to_json(self) -> dict[str, object]:
        """As JSON holds it; without later constants where they are 0, as before there were such options."""
        return {name: value for name, value in asdict(self).items() if name not in _LATER or value}

    @classmethod
    def from_json(cls, told: object) -> "TermOptions":
        """Parse what :meth:`to_json` returned.

        Raises:
            ValueError: it is something else.
        """
        names = {f.name for f in fields(cls)}
        if not isinstance(told, Mapping) or not names - _LATER <= set(told) <= names:
            raise ValueError(f"found other names, expected {', '.join(sorted(names))}")
        for f in fields(cls):
            value = told.get(f.name, f.default)
            if type(value) is not type(f.default) or (isinstance(value, float) and not math.isfinite(value)):
                raise ValueError(f"{f.name}: found {value!r}, expected a value such as {f.default!r}")
        for name in sorted(_LATER):
            if told.get(name, 0) < 0:
                raise ValueError(f"{name}: found {told[name]}, expected 0 or more")
        return cls(**told)


_LATER = {"past", "state_width"}
"""Constants that a run of before lacks; 0 stands for what held then."""
