"""Intervals of numbers as RecBole's options write them: ``"(0,1];[3,inf)"``."""

from dataclasses import dataclass

import numpy as np

from recbole_apa.core.errors import SettingsError

_BRACKETS = ("([", ")]")


@dataclass(frozen=True)
class Interval:
    """The numbers between two end points, as RecBole writes them: ``[3,inf)``."""

    low: float
    high: float
    with_low: bool
    with_high: bool

    def holds(self, values: np.ndarray) -> np.ndarray:
        """Which values are inside, (n,), bool; a missing value is not."""
        above = values >= self.low if self.with_low else values > self.low
        out: np.ndarray = above & (values <= self.high if self.with_high else values < self.high)
        return out


def parse_intervals(option: str, text: object) -> list[Interval]:
    """Parse RecBole's ``"(0,1];[3,inf)"``.

    Raises:
        SettingsError: the text is anything else.
    """
    out = []
    for part in str(text).split(";"):
        part = part.strip()
        points = part[1:-1].split(",")
        try:
            low, high = (float(point) for point in points)
        except ValueError:
            low, high = 1.0, 0.0
        if not part or part[0] not in _BRACKETS[0] or part[-1] not in _BRACKETS[1] or not low <= high:
            raise SettingsError(f"{option}: found {str(text)!r}, expected intervals such as '[3,inf)' or '(0,1];[3,4)'")
        out.append(Interval(low, high, part[0] == "[", part[-1] == "]"))
    return out
