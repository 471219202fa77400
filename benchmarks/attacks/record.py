"""Findings of an attack: a JSON line for each case, taken up again where a process stopped."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any


class Record:
    """The lines of a file, each with the ``case`` that it is about.

    Args:
        path: is made where it is not there; a last line that was cut off is dropped.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: list[dict[str, Any]] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        whole = text[: text.rfind("\n") + 1]
        self.lines = [json.loads(line) for line in whole.splitlines()]
        if whole != text:
            path.write_text(whole, encoding="utf-8")
        self.known = {line["case"] for line in self.lines}

    def add(self, line: dict[str, Any]) -> None:
        """Keep a case."""
        self.lines.append(line)
        self.known.add(line["case"])
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=True, sort_keys=True) + "\n")

    def count(self, *keys: str) -> Counter[tuple[Any, ...]]:
        """How many cases have each combination of what they say under some keys."""
        return Counter(tuple(line.get(key) for key in keys) for line in self.lines)


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Rows as Markdown, columns as wide as they need."""
    cells = [[str(word) for word in row] for row in (titles, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(titles))]
    shown = ["| " + " | ".join(word.ljust(w) for word, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return "\n".join([shown[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *shown[1:]])
