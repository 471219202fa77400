"""Constants of collaborative terms."""

from dataclasses import dataclass


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
