from .ranges import Range as Range
from .ranges import read_ranges as read_ranges
from .study import Tuning as Tuning
from .study import tune as tune
