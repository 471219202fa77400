"""What is wrong in a file, line by line: the first ten are shown, all are counted."""

from dataclasses import dataclass, field
from pathlib import Path

from recbole_apa.core.errors import DataError

MOST_SHOWN = 10


@dataclass
class Problems:
    """Collects the problems in one file."""

    path: Path | str
    """The file, or what else its rows come from."""
    unit: str = "line"
    """What rows are counted by."""
    shown: list[str] = field(default_factory=list)
    n: int = 0

    def add(self, line: int, says: str) -> None:
        """Record one problem."""
        self.n += 1
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(f"{self.path}, {self.unit} {line}: {says}")

    def refuse(self) -> None:
        """
        Raises:
            DataError: there is any problem.
        """
        if self.n:
            more = f"\n... and {self.n - len(self.shown)} more" if self.n > len(self.shown) else ""
            raise DataError("\n".join(self.shown) + more)


def clip(value: str) -> str:
    """A cell as messages show it."""
    return repr(value if len(value) <= 60 else value[:57] + "...")
