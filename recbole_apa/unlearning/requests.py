"""What a person asks to have forgotten: read from a file, a command line or Python, and found in the data."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from recbole_apa.data.samples import Interactions
from recbole_apa.errors import RequestError

COLUMNS = ("user_id", "item_id", "timestamp")
MAX_SHOWN = 20


@dataclass(frozen=True)
class Demand:
    """One line of a request: an interaction (user and item, perhaps its time), a whole user, or a whole item."""

    where: str
    """For messages, e.g. ``requests.csv, line 3``."""
    user: str | None = None
    item: str | None = None
    time: float | None = None

    @property
    def kind(self) -> str:
        """``interaction``, ``user`` or ``item``."""
        if self.user is not None and self.item is not None:
            return "interaction"
        return "user" if self.user is not None else "item"

    def __str__(self) -> str:
        named = {"user": self.user, "item": self.item, "time": self.time}
        return ", ".join(f"{k} {v}" for k, v in named.items() if v is not None)


@dataclass
class Found:
    """Which interactions a request comes to."""

    rows: list[int] = field(default_factory=list)
    """Row numbers, sorted, each once."""
    demands: list[Demand] = field(default_factory=list)
    """The demands that were taken."""
    left: list[str] = field(default_factory=list)
    """What was left out, and why (``skip_unknown``)."""


def read_demands(path: Path) -> list[Demand]:
    """Read a request file: ``.csv``, ``.jsonl`` / ``.json`` (an object a line) or RecBole's ``.inter``.

    Columns: ``user_id``, ``item_id``, ``timestamp``. A line with a user alone asks for the whole user, one with an
    item alone for the whole item.

    Raises:
        RequestError: missing, empty or malformed, with the line.
    """
    readers: dict[str, Callable[[Path], Iterator[tuple[int, dict[str, Any]]]]] = {
        ".csv": _read_csv,
        ".jsonl": _read_json_lines,
        ".json": _read_json_lines,
        ".inter": _read_atomic,
    }
    if path.suffix not in readers:
        raise RequestError(f"{path}: found the ending {path.suffix!r}, expected {', '.join(readers)}")
    try:
        demands = [_demand(f"{path.name}, line {n}", values) for n, values in readers[path.suffix](path)]
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read the request {path}: {error}; nothing was changed") from error
    if not demands:
        raise RequestError(f"{path} asks for nothing: expected a line for each interaction, user or item")
    return demands


def named_demands(
    users: Iterable[object] = (), items: Iterable[object] = (), interactions: Iterable[Sequence[object]] = ()
) -> list[Demand]:
    """Demands given by name: users, items, and (user, item) or (user, item, time)."""
    out = [Demand(f"user {u}", user=str(u)) for u in users]
    out += [Demand(f"item {i}", item=str(i)) for i in items]
    for named in interactions:
        if len(named) not in (2, 3):
            raise RequestError(f"interactions: found {named!r}, expected (user, item) or (user, item, time)")
        time = dict(zip(COLUMNS, named, strict=False)).get("timestamp")
        out.append(_demand(f"interaction {named}", {"user_id": named[0], "item_id": named[1], "timestamp": time}))
    return out


def find(
    demands: Sequence[Demand], rows: Interactions, served: Callable[[Demand], bool], skip_unknown: bool = False
) -> Found:
    """Find each demand in the data that the run may still see.

    Args:
        served: whether a demand that is not in the data was forgotten by an earlier request.
        skip_unknown: leave out what cannot be found instead of refusing everything.

    Raises:
        RequestError: names every demand that is unknown, repeated or was served before, or nothing is left to do.
    """
    index = _Index(rows)
    out, chosen = Found(), set[int]()
    problems: list[str] = []
    seen: dict[tuple[str | None, str | None, float | None], str] = {}
    for demand in demands:
        same = seen.setdefault((demand.user, demand.item, demand.time), demand.where)
        hits = index.rows(demand)
        if same != demand.where:
            problems.append(f"{demand.where}: the same as {same}")
        elif not hits:
            was = "was forgotten before" if served(demand) else f"no such {demand.kind} in the data"
            problems.append(f"{demand.where}: {was} ({demand})")
        else:
            chosen.update(hits)
            out.demands.append(demand)
    if problems and not skip_unknown:
        raise RequestError(_list_of(problems, "--skip_unknown serves the rest"))
    if not chosen:
        raise RequestError(_list_of(problems, "nothing is left to forget"))
    out.rows, out.left = sorted(chosen), problems
    return out


class _Index:
    """Rows by user and by item."""

    def __init__(self, rows: Interactions) -> None:
        self.interactions = rows
        self.by_user: dict[str, list[int]] = {}
        self.by_item: dict[str, list[int]] = {}
        for row, (user, item) in enumerate(zip(rows.users, rows.items, strict=True)):
            self.by_user.setdefault(user, []).append(row)
            self.by_item.setdefault(item, []).append(row)

    def rows(self, demand: Demand) -> list[int]:
        if demand.user is None:
            return self.by_item.get(demand.item or "", [])
        found = self.by_user.get(demand.user, [])
        if demand.item is not None:
            found = [row for row in found if self.interactions.items[row] == demand.item]
        times = self.interactions.times
        if demand.time is not None and times is not None:
            found = [row for row in found if np.float64(times[row]) == np.float64(demand.time)]
        return found


def _read_csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        yield from _table(path, ((reader.line_num, row) for row in reader))


def _read_atomic(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, encoding="utf-8") as file:
        lines = ((n, line.rstrip("\r\n").split("\t")) for n, line in enumerate(file, start=1))
        yield from _table(path, ((n, [w.partition(":")[0] for w in row] if n == 1 else row) for n, row in lines))


def _table(path: Path, lines: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Lines with a header -> values by column; empty lines are skipped."""
    _, header = next(lines, (0, []))
    header = [name.strip() for name in header]
    if not {"user_id", "item_id"} & set(header):
        raise RequestError(
            f"{path.name}, line 1: found the columns {', '.join(header) or '(none)'}; expected user_id, item_id or both"
        )
    for number, row in lines:
        if not any(word.strip() for word in row):
            continue
        if len(row) != len(header):
            raise RequestError(f"{path.name}, line {number}: found {len(row)} values, expected {len(header)}")
        yield number, {name: word.strip() for name, word in zip(header, row, strict=True) if name in COLUMNS}


def _read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                values = json.loads(line)
            except json.JSONDecodeError as error:
                raise RequestError(f"{path.name}, line {number}: not JSON ({error})") from None
            unknown = set(values) - set(COLUMNS) if isinstance(values, dict) else {"?"}
            if unknown:
                raise RequestError(
                    f'{path.name}, line {number}: expected an object such as {{"user_id": "1", "item_id": "2"}}, '
                    f"found {line.strip()[:60]}"
                )
            yield number, values


def _demand(where: str, values: dict[str, Any]) -> Demand:
    user, item, time = (values.get(name) for name in COLUMNS)
    user, item = (None if v is None or str(v).strip() == "" else str(v).strip() for v in (user, item))
    if user is None and item is None:
        raise RequestError(f"{where}: found neither a user nor an item")
    try:
        number = None if time is None or str(time).strip() == "" else float(str(time))
    except ValueError:
        raise RequestError(f"{where}: found the timestamp {time!r}, expected a number") from None
    return Demand(where, user, item, number)


def _list_of(problems: Sequence[str], hint: str) -> str:
    shown = "; ".join(problems[:MAX_SHOWN])
    more = f"; and {len(problems) - MAX_SHOWN} more" if len(problems) > MAX_SHOWN else ""
    return f"{shown}{more}. Nothing was changed; {hint}"
