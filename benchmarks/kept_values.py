"""What was measured of each user, kept in a file, so that a benchmark can go on where it stopped."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path


def values_of(kept: Path | None, made: str, row: int | str) -> dict[str, list[float]] | None:
    """What the file has; None where it has nothing.

    Args:
        made: what the values depend on.
        row: whose they are.
    """
    lines = kept.read_text().splitlines() if kept and kept.is_file() else []
    for told in map(json.loads, lines):
        if told["of"] == made and told["row"] == row:
            values: dict[str, list[float]] = told["values"]
            return values
    return None


def keep_values(kept: Path | None, made: str, row: int | str, values: Mapping[str, Sequence[float]]) -> None:
    """Add a line to the file, if there is one."""
    if kept:
        with kept.open("a") as file:
            file.write(json.dumps({"of": made, "row": row, "values": dict(values)}) + "\n")
