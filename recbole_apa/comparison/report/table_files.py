"""The tables of a comparison as files: Markdown, CSV and LaTeX."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from tabulate import tabulate

from recbole_apa.comparison.report.slices import Table
from recbole_apa.core.files.whole import write_text

FURTHER = "tables"
"""The folder of the tables after the first."""


def write_tables(
    folder: Path, table: Table, notes: Sequence[str], parts: Mapping[str, tuple[Table, str]], failed: Sequence[str]
) -> None:
    """Write ``table.md`` with all that a terminal shows, the first table as ``table.csv`` and ``table.tex``, and each
    further one likewise in ``tables``, whose tables of an earlier call are removed.

    Args:
        notes: below the first table.
        parts: further tables: title -> table, note.
        failed: what went wrong.
    """
    markdown = [_text(table, "github"), *notes]
    for title, (part, note) in parts.items():
        markdown += [f"## {title}", _text(part, "github"), *([note] if note else [])]
    write_text(folder / "table.md", "\n\n".join([*markdown, *failed]) + "\n")
    _write(folder / "table", table)
    wanted = {folder / FURTHER / file_name(title): part for title, (part, _) in parts.items()}
    for path, part in wanted.items():
        _write(path, part)
    for old in (folder / FURTHER).glob("*.*"):
        if old.suffix in (".csv", ".tex") and old.with_suffix("") not in wanted:
            old.unlink()


def file_name(title: str) -> str:
    """A table's title as the name of its files: ``AUC by user`` -> ``auc-by-user``; what follows a colon or a comma is
    left out."""
    return "-".join(re.findall(r"[a-z0-9@]+", re.split("[:,]", title.lower().replace("'", ""))[0]))


def _write(path: Path, table: Table) -> None:
    """``path`` has no ending."""
    head, body = table
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([head, *body])
    write_text(path.with_name(f"{path.name}.csv"), text.getvalue())
    write_text(path.with_name(f"{path.name}.tex"), _text(table, "latex_booktabs") + "\n")


def _text(table: Table, how: str) -> str:
    head, body = table
    out: str = tabulate(body, head, tablefmt=how, disable_numparse=True)
    return out
