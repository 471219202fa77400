"""Search for options by their validation figures: ranges, the search, its trials."""

from recbole_apa.tuning.ranges import Range, read_ranges
from recbole_apa.tuning.study import Tuning, tune

__all__ = ["Range", "Tuning", "read_ranges", "tune"]
