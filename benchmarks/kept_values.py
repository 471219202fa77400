"""What was measured of each user, kept in a file, so that a benchmark can go on where it stopped."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.protocol import commit

Values = Mapping[str, Sequence[float]]
UNKNOWN = "unknown"
"""The commit of lines that do not say theirs."""


class KeptValues:
    """The lines of a file that are of one thing.

    A line is found by what its values are of and not by the commit, so that a change of anything else lets nobody
    measure again; it says the commit, and a record says all of those that its figures come from.

    Args:
        path: None keeps nothing.
        made: what the values depend on, besides the code.
    """

    def __init__(self, path: Path | None, made: str) -> None:
        self._path, self._made = path, made
        self._commits: set[str] = set()

    def get(self, row: int | str, measure: Callable[[], Values]) -> Values:
        """What the file has; else what is measured, which is added to the file.

        Args:
            row: whose values.
        """
        for told in self._lines():
            if told["of"] == self._made and told["row"] == row:
                self._commits.add(told.get("commit", UNKNOWN))
                values: Values = told["values"]
                return values
        values, here = measure(), commit()
        self._commits.add(here)
        if self._path:
            line = {"of": self._made, "row": row, "commit": here, "values": dict(values)}
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        return values

    @property
    def measured_on(self) -> list[str]:
        """The commits of all values that were asked for so far."""
        return sorted(self._commits)

    def _lines(self) -> list[dict]:
        lines = self._path.read_text().splitlines() if self._path and self._path.is_file() else []
        return [json.loads(line) for line in lines]
