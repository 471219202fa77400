"""CSV files whose cells stand in quotation marks, as a CSV writer leaves them: recognised, never guessed.

Quotation marks are text in most atomic files (``"O" Is for Outlaw``). A file is taken as quoted only if every
quotation mark in it encloses a whole cell or is doubled inside one, and one of them is there for a reason: the header
is quoted, or a quoted cell holds the separator, a quotation mark or a line break.
"""

import re

Record = tuple[int, list[str]]


def quoted_records(text: str, separator: str) -> list[Record] | None:
    """The records of a quoted file by physical line, the header first; None where it is not one."""
    cell = re.compile(rf'(?:"((?:[^"]|"")*)"|([^"\r\n]*?))({re.escape(separator)}|\r?\n|\Z)')
    out: list[Record] = []
    place, line, started, reason = 0, 1, 1, False
    values: list[str] = []
    while place < len(text):
        found = cell.match(text, place)
        if not found:
            return None
        inside, bare, end = found.groups()
        if inside is not None:
            reason = reason or not out or any(mark in inside for mark in ('""', separator, "\n", "\r"))
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
    return out if reason else None
