"""Trainings whose records are lines of JSON in one file, so that a search that was stopped goes on."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def kept_rows(out: Path) -> list[Row]:
    """The records that are there; none if there is no file."""
    return [json.loads(line) for line in out.read_text().splitlines()] if out.is_file() else []


def go_on(out: Path, rows: list[Row], changes: Mapping[str, Any], measure: Callable[[str, Any], Row]) -> list[Row]:
    """Measure the changes that have no record; each goes to the file, and to the screen, when it is done.

    Args:
        rows: the records of these changes that are there, each with its ``change``.
        measure: takes a name, and what differs from the defaults.
    """
    known = {row["change"] for row in rows}
    for name in (name for name in changes if name not in known):
        rows.append(measure(name, changes[name]))
        with open(out, "a") as lines:
            lines.write(json.dumps(rows[-1]) + "\n")
        print(rows[-1], flush=True)
    return rows
