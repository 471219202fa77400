"""What a search may try: read from YAML or from RecBole's own range files, and checked."""

import ast
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.options import nearest
from recbole_apa.core.yaml import parse_value, read_yaml
from recbole_apa.data.recbole_checks import is_number

Told = tuple[str, str | None, object]
"""(option, distribution, values), or (option, None, what is wrong)."""

_SHAPES = {
    "choice": "a list of values, e.g. [4, 8, 16]",
    "uniform": "[low, high]",
    "quniform": "[low, high, step]",
    "loguniform": "[low, high], natural logarithms of the bounds as in RecBole, e.g. [-8, -4]",
    "log_between": "[low, high], the bounds themselves, e.g. [0.0005, 0.01]",
}
KINDS = tuple(_SHAPES)
"""The distributions: RecBole's four, and ``log_between``."""


@dataclass(frozen=True)
class Range:
    """The values that an option may take.

    ``choice`` has values; the others have bounds. Between these, ``uniform`` draws evenly, ``quniform`` draws multiples
    of its step, and ``loguniform`` and ``log_between`` draw evenly on a logarithmic scale.
    """

    name: str
    kind: str
    values: tuple[Any, ...]
    """The values of a choice; else low, high and, for ``quniform``, the step."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            near = nearest(str(self.kind), KINDS, 0.6)
            raise SettingsError(
                f"{self.name}: found the distribution {self.kind!r}, expected one of {', '.join(KINDS)}"
                + (f"; did you mean {near!r}?" if near else "")
            )
        wrong = self._wrong()
        if wrong:
            raise SettingsError(f"{self.name}: found {self.kind} {list(self.values)!r}, {wrong}")

    def _wrong(self) -> str:
        """What is wrong with the values; empty if nothing is."""
        if self.kind == "choice":
            return "" if self.values else f"which is empty; expected {_SHAPES[self.kind]}"
        n = 3 if self.kind == "quniform" else 2
        if len(self.values) != n or not all(map(is_number, self.values)):
            return f"expected {_SHAPES[self.kind]}"
        low, high = self.values[:2]
        if self.kind == "log_between" and low <= 0:
            return "expected bounds above 0"
        if self.kind == "loguniform" and high > 700:
            return "which is too large for a number: the bounds are natural logarithms; expected e.g. [-8, -4]"
        if not low < high:
            return "which is empty; expected the lower bound first, then the higher one"
        if self.kind == "quniform":
            if self.values[2] <= 0:
                return "expected a step above 0"
            if not self.grid:
                return "which contains no multiple of its step"
        return ""

    @property
    def grid(self) -> tuple[Any, ...]:
        """All values of a choice, or all multiples of a ``quniform``'s step; empty if they cannot be counted."""
        if self.kind == "choice":
            return self.values
        if self.kind != "quniform":
            return ()
        low, high, step = self.values
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        return tuple(_plain(i * step) for i in range(first, last + 1))

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest value of a range that is not a choice."""
        if self.kind == "quniform":
            return self.grid[0], self.grid[-1]
        low, high = (float(v) for v in self.values[:2])
        return (math.exp(low), math.exp(high)) if self.kind == "loguniform" else (low, high)

    def samples(self) -> tuple[Any, ...]:
        """Values to check the option's type and range with, before anything is trained."""
        return self.values if self.kind == "choice" else self.bounds

    def value(self, drawn: float) -> object:
        """The value that a drawn number stands for: it is an index for a choice, else a number, kept within bounds."""
        if self.kind == "choice":
            return self.values[int(drawn)]
        if self.kind == "quniform":
            return min(self.grid, key=lambda value: abs(value - drawn))
        low, high = self.bounds
        return min(max(float(drawn), low), high)


def _plain(value: float) -> float:
    """Whole numbers as integers, and no ``0.30000000000000004``."""
    value = float(f"{value:.12g}")
    return int(value) if value.is_integer() else value


def read_ranges(source: str | Path | Mapping[str, object]) -> list[Range]:
    """Ranges by option.

    Args:
        source: a mapping, a YAML file (``.yaml``, ``.yml``), or a file in RecBole's format: each line has an option, a
            distribution and its values, e.g. ``learning_rate loguniform -8,0``. A mapping is keyed by options
            (``{epochs: [1, 2], learning_rate: {log_between: [0.001, 0.01]}}``), or like RecBole's ``params_dict`` by
            distributions (``{choice: {epochs: [1, 2]}}``).

    Raises:
        SettingsError: the file cannot be read, or lists everything that is wrong with the ranges.
    """
    if isinstance(source, Mapping):
        return _of_mapping(source, "ranges")
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        return _of_mapping(read_yaml(path), str(path))
    return _collect(_lines(path), str(path))


def _collect(told: Iterator[Told], where: str) -> list[Range]:
    """
    Args:
        told: (option, distribution, values), or (option, None, what is wrong).
    """
    out: dict[str, Range] = {}
    problems = []
    for name, kind, values in told:
        try:
            if kind is None:
                raise SettingsError(f"{name}: {values}")
            if name in out:
                raise SettingsError(f"{name}: found two ranges")
            if not isinstance(values, (list, tuple)):
                raise SettingsError(f"{name}: found {values!r}, expected {_SHAPES.get(kind, 'a list')}")
            out[name] = Range(name, kind, tuple(values))
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError(f"{where}: " + "; ".join(problems))
    if not out:
        raise SettingsError(f"{where}: found no range; expected e.g. learning_rate: {{log_between: [0.001, 0.01]}}")
    return list(out.values())


def _of_mapping(source: Mapping[str, object], where: str) -> list[Range]:
    def told() -> Iterator[Told]:
        for name, value in source.items():
            if name in KINDS and isinstance(value, Mapping):
                yield from ((str(option), name, values) for option, values in value.items())
            elif isinstance(value, (list, tuple)):
                yield str(name), "choice", value
            elif isinstance(value, Mapping) and len(value) == 1:
                yield str(name), *next(iter(value.items()))
            else:
                yield str(name), None, f"found {value!r}, expected a list of values, or {{distribution: [...]}}"

    return _collect(told(), where)


def _lines(path: Path) -> Iterator[Told]:
    """RecBole's range files (``HyperTuning._build_space_from_file``); their lists are not run as code here."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise SettingsError(f"cannot read ranges from {path}: {error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 3:
            yield f"line {number}", None, f"found {line.strip()!r}, expected e.g. learning_rate loguniform -8,0"
            continue
        name, kind, told = words[0], words[1], "".join(words[2:])
        if kind == "choice":
            told = line.split(None, 2)[2]
        try:
            values = ast.literal_eval(told if kind == "choice" else f"[{told}]")
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            yield f"line {number}", None, f"found {told[:60]!r}, expected {_SHAPES.get(kind, 'values')}"
            continue
        if kind == "choice" and isinstance(values, list):  # RecBole's files write nested lists as text
            values = [parse_value(v) if isinstance(v, str) else v for v in values]
        yield name, kind, values
