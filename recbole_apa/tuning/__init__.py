"""Search for options by their validation figures: ranges, the search, its trials.

It may not know the comparison beside it, nor the command line.
"""

from recbole_apa.tuning.ranges import Range, read_ranges
from recbole_apa.tuning.study import Tuning, tune

__all__ = ["Range", "Tuning", "read_ranges", "tune"]
