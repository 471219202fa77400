"""CSV files whose cells are in quotation marks, as CSV writers produce them: recognised, never guessed.

Quotation marks are text in most atomic files (``"O" Is for Outlaw``). A file is treated as quoted only if every
quotation mark in it encloses a whole cell or is doubled inside one, and at least one is needed: the header
is quoted, or a quoted cell contains the separator, a quotation mark or a line break.
"""

import re
from pathlib import Path

from recbole_apa.core.errors import DataError

Record = tuple[int, list[str]]


def quoted_records(path: Path, text: str, separator: str, reads_plainly: bool) -> list[Record] | None:
    """The records of a quoted file by physical line, the header first; None if it is not one.

    Args:
        reads_plainly: whether the file is valid with its quotation marks as text. A quoted cell containing a separator
            or a line break is then not accepted: two stray marks could join what is between them.

    Raises:
        DataError: there is such a cell, and also one that only a CSV writer produces.
    """
    cell = re.compile(rf'(?:"((?:[^"]|"")*)"|([^"\r\n]*?))({re.escape(separator)}|\r?\n|\Z)')
    out: list[Record] = []
    place, line, started = 0, 1, 1
    in_header = doubled = joining = False
    values: list[str] = []
    while place < len(text):
        found = cell.match(text, place)
        if not found:
            return None
        inside, bare, end = found.groups()
        if inside is not None:
            in_header, doubled = in_header or not out, doubled or '""' in inside
            joining = joining or any(mark in inside for mark in (separator, "\n", "\r"))
        values.append(bare if inside is None else inside.replace('""', '"'))
        line += (inside or "").count("\n")
        place = found.end()
        if end != separator:
            if values != [""]:
                out.append((started, values))
            line, values = line + 1, []
            started = line
        elif place == len(text):
            out.append((started, [*values, ""]))
    if reads_plainly and joining and not in_header:
        if doubled:
            raise DataError(
                f"{path}: some quotation marks look like a CSV writer's and others like text; quote all cells, "
                "including the header, or none"
            )
        return None
    return out if in_header or doubled or joining else None
