"""Request files, right ones and odd ones, drawn by number: the same number gives the same file."""

import json
import random
from dataclasses import dataclass, field
from typing import Any

from benchmarks.attacks.odd_words import BITS, ODD_CELLS, ODD_LINES, ODD_NAMES, ODD_NUMBERS, ODD_VALUES
from benchmarks.attacks.request_oracle import OURS, Row

USERS = ("1", "7", "007", "7.0", "u3", "u 4", "a:b", "ü", "x#2", "-5", "a", "A", "0", 'q"t', "gone")
ITEMS = ("i1", "2", "02", "i 4", "c,d", "i:6", "é", "i8", "9#2", "i0")
GONE = ("gone", ("a", "i1"))
"""A user and an interaction that are forgotten before the files come."""
ENDINGS = (".csv", ".jsonl", ".inter")


@dataclass(frozen=True)
class RequestCase:
    """One file, and the options with which it is given."""

    kind: str
    ending: str
    data: bytes
    columns: dict[str, Any] = field(default_factory=dict)
    skip: bool = False


def make_rows() -> list[Row]:
    """The dataset: pairs once, twice at other times, and twice in one second."""
    draw = random.Random(5)
    rows: list[Row] = []
    for number, user in enumerate(USERS):
        time = 100.0 * number
        for item in draw.sample(ITEMS, 8):
            time += draw.choice((1.0, 2.0, 0.5))
            rows.append((user, item, float(draw.choice((1, 2, 4, 5))), time))
    for at in (3, 20, 41, 62):
        user, item, rating, time = rows[at]
        rows.append((user, item, float(6 - rating if at % 2 else rating), time + 50.0))
        rows.append((user, item, rating, time + 50.0))
    return rows


def is_gone(row: Row) -> bool:
    """Whether a row was forgotten before."""
    return row[0] == GONE[0] or row[:2] == GONE[1]


def draw_case(number: int, rows: list[Row], seed: int = 0) -> RequestCase:
    """The file of a number."""
    draw = random.Random(f"{seed} {number}")
    kinds = list(_KINDS)
    kind = kinds[number % len(kinds)]
    return _KINDS[kind](kind, draw, rows)


def _plain(kind: str, draw: random.Random, rows: list[Row], odd: float = 0.0, skip: bool = False) -> RequestCase:
    ending = draw.choice(ENDINGS)
    lines = _lines(draw, rows, odd)
    return RequestCase(kind, ending, _written(draw, ending, lines), skip=skip)


def _lines(draw: random.Random, rows: list[Row], odd: float) -> list[dict[str, str]]:
    """What some lines say; each is odd with a probability."""
    out = []
    visible = [row for row in rows if not is_gone(row)]
    for _ in range(draw.choice((1, 1, 2, 3, 6))):
        user, item, rating, time = draw.choice(rows if draw.random() < odd else visible)
        line = {"user_id": user, "item_id": item}
        form = draw.random()
        if form < 0.25:
            del line["item_id"]
        elif form < 0.35:
            del line["user_id"]
        else:
            line |= {"timestamp": _told(draw, time)} if draw.random() < 0.5 else {}
            line |= {"rating": _told(draw, rating)} if draw.random() < 0.3 else {}
        if draw.random() < odd:
            line[draw.choice(OURS)] = draw.choice(("nobody", "i99", "5", "3.25", "u3", "i1", ""))
        out.append(line)
        if draw.random() < odd / 3:
            out.append(dict(line))
    return out


def _told(draw: random.Random, number: float) -> str:
    return draw.choice((str(number), f"{number:g}", f"{number:.2f}"))


def _written(draw: random.Random, ending: str, lines: list[dict[str, str]], names: list[str] | None = None) -> bytes:
    end = draw.choice(("\n", "\n", "\r\n"))
    if ending == ".jsonl":
        return "".join(json.dumps(line, ensure_ascii=draw.random() < 0.5) + end for line in lines).encode()
    used = [name for name in OURS if any(name in line for line in lines) or draw.random() < 0.3]
    draw.shuffle(used)
    used = used if {"user_id", "item_id"} & set(used) else ["user_id", *used]
    types = {"user_id": "token", "item_id": "token", "timestamp": "float", "rating": "float"}
    head = names or [f"{name}:{types[name]}" if ending == ".inter" else name for name in used]
    cells = [head, *([line.get(name, "") for name in used] for line in lines)]
    if ending == ".inter":
        return "".join("\t".join(row) + end for row in cells).encode()
    return "".join(",".join(map(_quoted, row)) + end for row in cells).encode()


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if set(cell) & set(',"\r\n') else cell


def _wrong(kind: str, draw: random.Random, rows: list[Row]) -> RequestCase:
    return _plain(kind, draw, rows, 0.4)


def _skipped(kind: str, draw: random.Random, rows: list[Row]) -> RequestCase:
    return _plain(kind, draw, rows, 0.4, True)


def _header(kind: str, draw: random.Random, rows: list[Row]) -> RequestCase:
    ending = draw.choice((".csv", ".inter"))
    separator = "," if ending == ".csv" else "\t"
    names = [draw.choice((*OURS, *OURS, *ODD_NAMES)) for _ in range(draw.choice((1, 2, 3, 4)))]
    user, item, rating, time = draw.choice(rows)
    values = {"user_id": user, "item_id": item, "rating": str(rating), "timestamp": str(time)}
    cells = [next((v for n, v in values.items() if n in name), draw.choice(("0", "", "x"))) for name in names]
    quote = _quoted if ending == ".csv" else str
    return RequestCase(kind, ending, "".join(separator.join(map(quote, r)) + "\n" for r in (names, cells)).encode())


def _cells(kind: str, draw: random.Random, rows: list[Row]) -> RequestCase:
    """Lines of other lengths, blank ones, odd ids and numbers."""
    ending, lines = draw.choice(ENDINGS), _lines(draw, rows, 0.1)
    line = draw.choice(lines)
    name = draw.choice(OURS)
    if name in line and name not in OURS[:2] and draw.random() < 0.5:
        line[name] = draw.choice((" {}", "{} ", "+{}", "{}e0", "0{}", "{}00", "-{}", "{}1")).format(line[name])
    elif draw.random() < 0.6:
        line[name] = draw.choice(ODD_CELLS if name in OURS[:2] or draw.random() < 0.2 else ODD_NUMBERS)
    data = _written(draw, ending, lines)
    parts = data.split(b"\n")
    if draw.random() < 0.4:
        at = draw.randrange(len(parts))
        separator = b"\t" if ending == ".inter" else b","
        parts[at] = draw.choice(
            (parts[at] + separator, separator + parts[at], b"", separator * 3, b"  ", parts[at][:2])
        )
    return RequestCase(kind, ending, b"\n".join(parts))


def _json(kind: str, draw: random.Random, rows: list[Row]) -> RequestCase:
    out = []
    for line in _lines(draw, rows, 0.1):
        values: dict[str, Any] = dict(line)
        if draw.random() < 0.3:
            values[draw.choice((*OURS, "user", "when"))] = draw.choice(ODD_VALUES)
        out.append(json.dumps(values, indent=None if draw.random() < 0.9 else 1))
    if draw.random() < 0.25:
        out.insert(draw.randrange(len(out) + 1), draw.choice(ODD_LINES))
    return RequestCase(kind, ".jsonl", ("\n".join(out) + "\n").encode("utf-8", "surrogatepass"))


def _quotes(kind: str, draw: random.Random, rows: list[Row]) -> RequestCase:
    words = (
        "u3",
        '"u3"',
        '"u3',
        'u3"',
        'u"3',
        '"u""3"',
        '"u3"x',
        '"u\n3"',
        ' "u3"',
        '""',
        "",
        '"a"',
        'q"t',
        '"q""t"',
        '"c,d"',
    )
    lines = [[draw.choice(words), draw.choice((*words, "i1", "2", ""))] for _ in range(draw.choice((1, 2, 3)))]
    return RequestCase(kind, ".csv", ("user_id,item_id\n" + "".join(",".join(line) + "\n" for line in lines)).encode())


def _encoded(kind: str, draw: random.Random, rows: list[Row]) -> RequestCase:
    case = _plain(kind, draw, rows)
    text = case.data.decode()
    ways = (
        b"\xef\xbb\xbf" + case.data,
        b"\xef\xbb\xbf" * 2 + case.data,
        text.encode("utf-16"),
        text.encode("utf-16-le"),
        text.encode("latin-1", "replace"),
        case.data.replace(b"\r\n", b"\n").replace(b"\n", b"\r"),
        case.data.rstrip(b"\r\n"),
        case.data + b"\x1a",
        case.data + b"\x00" * 8,
        case.data.replace(b"\n", b"\n\n"),
        case.data.replace(b"\n", "\u2028".encode()),
        text.replace("ü", "u\u0308").encode(),
        b"",
        case.data[: len(case.data) // 2],
    )
    return RequestCase(kind, case.ending, draw.choice(ways))


def _mapped(kind: str, draw: random.Random, rows: list[Row]) -> RequestCase:
    """Files of other people, with names of their own for all columns or some."""
    theirs = {"user_id": "uid", "item_id": "iid", "timestamp": "tag", "rating": "val"}
    told = [name for name in OURS if draw.random() < 0.7]
    columns: dict[str, Any] = {name: theirs[name] for name in told}
    others = [theirs[name] for name in ("timestamp", "rating") if name not in told]
    if others and draw.random() < 0.5:
        columns["ignore"] = others
    lines = _lines(draw, rows, 0.1)
    ending = draw.choice((".csv", ".jsonl"))
    renamed = [{theirs[n] if draw.random() < 0.98 else n: v for n, v in line.items()} for line in lines]
    if ending == ".jsonl":
        return RequestCase(kind, ending, "".join(json.dumps(line) + "\n" for line in renamed).encode(), columns)
    names = [n for n in dict.fromkeys(theirs.values()) if any(n in line for line in renamed) or draw.random() < 0.3]
    cells = [names, *([line.get(n, "") for n in names] for line in renamed)]
    return RequestCase(kind, ending, "".join(",".join(map(_quoted, r)) + "\n" for r in cells).encode(), columns)


def _mutated(kind: str, draw: random.Random, rows: list[Row]) -> RequestCase:
    case = _plain(kind, draw, rows, 0.1, draw.random() < 0.2)
    data = bytearray(case.data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        at = draw.randrange(len(data) + 1)
        to = min(len(data), at + draw.choice((0, 0, 1, 1, 3, 12)))
        way = draw.random()
        if way < 0.5:
            data[at:to] = draw.choice(BITS)
        elif way < 0.7:
            data[at:to] = b""
        elif way < 0.85:
            data[at:at] = data[at:to]
        elif at < len(data):
            data[at] ^= 1 << draw.randrange(8)
    return RequestCase(kind, case.ending, bytes(data), skip=case.skip)


def _spliced(kind: str, draw: random.Random, rows: list[Row]) -> RequestCase:
    first, second = _plain(kind, draw, rows), _plain(kind, draw, rows)
    if draw.random() < 0.5:
        ending = second.ending
        head, *lines = second.data.splitlines(keepends=True)
        again = b"".join(draw.choice(([head], [], lines[:1])) + lines)
        return RequestCase(kind, ending, second.data + again)
    cut = draw.randrange(len(first.data) + 1), draw.randrange(len(second.data) + 1)
    return RequestCase(kind, draw.choice((first.ending, second.ending)), first.data[: cut[0]] + second.data[cut[1] :])


_KINDS = {
    "right": _plain,
    "wrong lines": _wrong,
    "wrong lines, skipped": _skipped,
    "odd headers": _header,
    "odd cells": _cells,
    "odd JSON": _json,
    "odd quotation marks": _quotes,
    "odd encodings": _encoded,
    "others' columns": _mapped,
    "bytes changed": _mutated,
    "two files in one": _spliced,
}
