"""What a request file asks for, read a second time by rules of its own.

Imports nothing of the package, and is written from the README; some rules on which that is silent were set with the
parser's code in view. Where two readings are possible the oracle is unsure: the file may be refused, or come to just
these rows.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_Cells = tuple[Sequence[int], list[str]]
"""Lines of the file, and what they hold."""
Row = tuple[str, str, float, float]
"""User, item, rating, time."""
OURS = ("user_id", "item_id", "timestamp", "rating")
_PLAIN_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TYPED = re.compile(r"(.*):(token|float|token_seq|float_seq)", re.DOTALL)
_UNNAMED = re.compile(r"(Unnamed: \d+(\.\d+)?)?", re.ASCII)
_LINE_END = re.compile(r"\r\n|\n|\r")


class RefusedError(Exception):
    """The file has to be refused.

    Args:
        lines: of which the refusal has to name one; none where it is about the whole file.
    """

    def __init__(self, why: str, lines: Sequence[int] = ()) -> None:
        super().__init__(why)
        self.lines = frozenset(lines)


@dataclass(frozen=True)
class Verdict:
    """What may become of a file."""

    rows: frozenset[int] | None
    """Just these may be forgotten; None: it has to be refused."""
    unsure: bool = False
    """Whether it may be refused as well."""
    lines: frozenset[int] = frozenset()
    """A refusal names one of these."""
    why: str = ""


@dataclass
class _Line:
    """What one line says by our names; only what is not blank."""

    numbers: Sequence[int]
    """Lines of the file that it covers."""
    said: dict[str, Any]
    others: bool = False
    """Whether there are columns that are not read."""
    ignored: bool = False
    """Whether all of them were named to be ignored."""


@dataclass
class Oracle:
    """
    Args:
        rows: those that the run may still see.
        columns: our name -> the file's, and ``ignore``: as ``--unlearn_columns``.
        skip: ``--skip_unknown``.
    """

    rows: Sequence[Row]
    columns: Mapping[str, Any] = field(default_factory=dict)
    skip: bool = False

    def judge(self, data: bytes, ending: str) -> Verdict:
        """
        Args:
            ending: ``.csv``, ``.jsonl`` or ``.inter``.
        """
        self.unsure = False
        try:
            return self._judge(data, ending)
        except RefusedError as error:
            return Verdict(None, lines=error.lines, why=str(error))

    def _judge(self, data: bytes, ending: str) -> Verdict:
        try:
            text = data.decode("utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError:
            raise RefusedError("not UTF-8") from None
        lines = []
        for line in self._objects(text) if ending == ".jsonl" else self._table(text, ending):
            self._check(line)
            lines.append(line)
        if not lines:
            raise RefusedError("no line asks for anything")
        wanted, problems, first = set[int](), list[int](), ""
        seen: Counter[tuple[Any, ...]] = Counter()
        reached: set[frozenset[int]] = set()
        for line in lines:
            hits, problem = self._hits(line, seen, reached)
            if problem:
                problems += line.numbers
                first = first or problem
            else:
                wanted |= hits
        if (problems and not self.skip) or not wanted:
            return Verdict(None, lines=frozenset(problems), why=first)
        return Verdict(frozenset(wanted), self.unsure)

    def _hits(
        self, line: _Line, seen: "Counter[tuple[Any, ...]]", reached: set[frozenset[int]]
    ) -> tuple[frozenset[int], str]:
        """The rows of a line, or what is wrong with it."""
        said = line.said
        user, item, time, rating = (said.get(name) for name in OURS)
        hits = frozenset(
            n
            for n, (u, i, _, t) in enumerate(self.rows)
            if user in (None, u) and item in (None, i) and time in (None, t)
        )
        key = (user, item, time, rating)
        seen[key] += 1
        if not hits:
            return hits, "nothing of it is in the data"
        if seen[key] > 1 and (time is None or seen[key] > len(hits)):
            return hits, "it is repeated"
        self.unsure |= seen[key] > 1 or hits in reached
        reached.add(hits)
        if line.others and not line.ignored and len(hits) > 1:
            return hits, "columns that were not read might choose one of its rows"
        if rating is not None and any(self.rows[n][2] != rating for n in hits):
            return hits, "its rating is not that of the data"
        return hits, ""

    def _check(self, line: _Line) -> None:
        said = line.said
        if "user_id" not in said and "item_id" not in said:
            raise RefusedError("neither user nor item", line.numbers)
        if ("user_id" not in said or "item_id" not in said) and (
            "timestamp" in said or "rating" in said or line.others
        ):
            raise RefusedError("it may have meant less than a whole user or item", line.numbers)

    def _said(self, numbers: Sequence[int], values: Mapping[str, Any], is_text: bool) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for name, value in values.items():
            if value is None or value == "":
                self.unsure |= not is_text
            elif name in OURS[:2]:
                out[name] = self._id(numbers, value)
            elif isinstance(value, str) and not value.strip():
                self.unsure = True
            else:
                out[name] = self._number(numbers, value)
        return out

    def _id(self, numbers: Sequence[int], value: Any) -> str:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise RefusedError(f"an id that is {value!r}", numbers)
        text = str(value)
        if not text.strip() or any("\ud800" <= c <= "\udfff" for c in text):
            raise RefusedError(f"an id that is {text!r}", numbers)
        return text

    def _number(self, numbers: Sequence[int], value: Any) -> float:
        text = str(value)
        if isinstance(value, (bool, list, dict)) or "_" in text:
            raise RefusedError(f"a number that is {value!r}", numbers)
        self.unsure |= isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(text)
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise RefusedError(f"a number that is {text[:20]!r}", numbers)
        return number

    def _objects(self, text: str) -> Iterator[_Line]:
        names = set[str]()
        self.unsure |= "\r" in text.replace("\r\n", "")
        for number, line in enumerate(_LINE_END.split(text), start=1):
            if not line.strip():
                continue
            try:
                pairs = json.loads(line, object_pairs_hook=lambda found: ("object", found), parse_int=_exact)
            except (ValueError, RecursionError):
                raise RefusedError("not JSON", [number]) from None
            if not (isinstance(pairs, tuple) and len({k for k, _ in pairs[1]}) == len(pairs[1])):
                raise RefusedError("no object, or a key twice", [number])
            values = dict(pairs[1])
            names |= set(values)
            meant = {k: self._meaning(k, [number]) for k in values}
            told = {ours: values[k] for k, ours in meant.items() if ours}
            others = [k for k, ours in meant.items() if not ours]
            said = self._said([number], told, False)
            yield _Line([number], said, bool(others), all(k in self._ignored() for k in others))
        if {c for n, c in self.columns.items() if n != "ignore"} - names:
            raise RefusedError("a column that was named is nowhere")

    def _table(self, text: str, ending: str) -> Iterator[_Line]:
        records = self._csv(text) if ending == ".csv" else self._tabbed(text)
        numbers, header = next(records, ([1], []))
        ours, others = self._header(numbers, header, ending)
        for numbers, cells in records:
            if not any(cell.strip() for cell in cells):
                self.unsure = True
                continue
            if len(cells) != len(ours):
                raise RefusedError(f"{len(cells)} cells, not {len(ours)}", numbers)
            said = self._said(numbers, {o: c for o, c in zip(ours, cells, strict=True) if o}, True)
            yield _Line(numbers, said, bool(others), all(name in self._ignored() for name in others))

    def _header(self, numbers: Sequence[int], header: Sequence[str], ending: str) -> tuple[list[str], list[str]]:
        """Our name of each column ("" where it says nothing), and the names of those that are not read."""
        names = []
        for cell in header:
            typed = _TYPED.fullmatch(cell.strip())
            name = typed[1] if typed else cell.strip()
            self.unsure |= name != cell and not (ending == ".inter" and cell == cell.strip())
            names.append(name)
        first = next((n for n, name in enumerate(names) if not _UNNAMED.fullmatch(name)), len(names))
        self.unsure |= first > 0
        known = names[first:]
        if len(set(known)) < len(known):
            raise RefusedError("a column twice", numbers)
        if {c for n, c in self.columns.items() if n != "ignore"} - set(known):
            raise RefusedError("a column that was named is not there", numbers)
        ours = [self._meaning(name, numbers) for name in known]
        if not {"user_id", "item_id"} & set(ours):
            raise RefusedError("neither column", numbers)
        if first and not {"user_id", "item_id"} <= set(ours):
            raise RefusedError("a nameless column that may be the other", numbers)
        return [""] * first + ours, [name for name, our in zip(known, ours, strict=True) if not our]

    def _meaning(self, name: str, numbers: Sequence[int]) -> str:
        given = {column: ours for ours, column in self.columns.items() if ours != "ignore"}
        if name in given:
            return str(given[name])
        if name in self._ignored():
            return ""
        if name in OURS and name not in self.columns:
            return name
        if {"user_id", "item_id"} <= set(self.columns):
            return ""
        raise RefusedError(f"the column {name!r}, of which nothing is known", numbers)

    def _ignored(self) -> Sequence[str]:
        return self.columns.get("ignore", ())

    def _tabbed(self, text: str) -> Iterator[_Cells]:
        lines = _LINE_END.split(text)
        self.unsure |= "\r" in text.replace("\r\n", "")
        if lines and not lines[-1]:
            lines.pop()
        yield from (([number], line.split("\t")) for number, line in enumerate(lines, start=1))

    def _csv(self, text: str) -> Iterator[_Cells]:
        """RFC 4180, a character after the other."""
        cells, cell, line, start = list[str](), "", 1, 1
        state, place = "begin", 0  # begin of a cell, plain, quoted, closed
        while place < len(text):
            c = text[place]
            end = "\r\n" if text.startswith("\r\n", place) else c if c in "\r\n" else ""
            place += len(end) or 1
            self.unsure |= end == "\r"
            if state == "quoted":
                line += bool(end)
                if c != '"':
                    cell += end or c
                elif text.startswith('"', place):
                    cell, place = cell + '"', place + 1
                else:
                    state = "closed"
            elif end or c == ",":
                cells, cell, state = [*cells, cell], "", "begin"
                if end:
                    yield range(start, line + 1), cells if cells != [""] else []
                    cells, line = [], line + 1
                    start = line
            elif state == "closed":
                raise RefusedError("something after a closing quotation mark", range(start, line + 1))
            elif c == '"' and state == "begin":
                state = "quoted"
            else:
                self.unsure |= c == '"'
                cell, state = cell + c, "plain"
        if state == "quoted":
            raise RefusedError("a quotation mark that is never closed", range(start, line + 2))
        if cells or state != "begin":
            yield range(start, line + 1), [*cells, cell]


def _exact(text: str) -> int | float:
    """Whole numbers that have another spelling are not the id that they spell."""
    number = int(text)
    return number if str(number) == text else float(text)
