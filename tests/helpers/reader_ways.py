"""The reader in each of its ways, problems and cells in a comparable form; numbers, good and bad."""

import math
import re
from contextlib import ExitStack
from unittest.mock import patch

import numpy as np
from hypothesis import HealthCheck, settings

from recbole_apa.core.errors import DataError
from recbole_apa.data.reader import FileForm, fast, read, read_table, strict
from tests.helpers import reference_reader

WAYS = ("fast", "small blocks", "slow")
few = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_in_a_way(path, way, form, choose=strict):
    with ExitStack() as stack:
        if way == "small blocks":
            stack.enter_context(patch.object(fast, "_BLOCK", 64))
        if way == "slow":
            stack.enter_context(patch.object(read, "_fast", lambda *_: None))
        return read_table(path, form, choose)


def cells_of(column):
    if isinstance(column, np.ndarray):
        return [None if math.isnan(value) else value for value in column.tolist()]
    return list(column)


def problems_in(says, path):
    """(line, column) of each problem a message shows, and how many it counts."""
    found, more = [], 0
    for says_one in says.split("\n"):
        if match := re.fullmatch(r"\.\.\. and (\d+) more", says_one):
            more = int(match[1])
            continue
        assert says_one.startswith(str(path))
        match = re.match(r", line (\d+): (?:column ([^:]*): )?", says_one[len(str(path)) :])
        found.append((int(match[1]), match[2]) if match else (None, None))
    return found, len(found) + more


def assert_as_the_reference(path, raw, separator="\t", encoding=None, unread=()):
    path.write_bytes(raw)
    right = reference_reader.read(raw, separator, encoding or "utf-8", unread)
    for way in WAYS:
        try:
            table = read_in_a_way(
                path, way, FileForm(separator, encoding), lambda f: None if f.name in unread else strict(f)
            )
        except DataError as error:
            shown, n = problems_in(str(error), path)
            assert (shown, n) == (right.problems[:10], len(right.problems)), (way, str(error))
        else:
            assert not right.problems, (way, right.problems)
            assert {name: cells_of(column) for name, column in table.columns.items()} == right.columns, way
            assert [table.line(row) for row in range(len(table))] == right.lines, way
            assert table.quoted == right.quoted, way
    return right


GOOD_NUMBERS = [
    "",
    "5",
    "4.5",
    "-0",
    "+3",
    ".5",
    "1.",
    "1e5",
    "1E-3",
    "007",
    "0.1",
    "881250949",
    "1e-400",
    "123456789.25",
]
BAD_NUMBERS = [
    "nan",
    "inf",
    "-inf",
    "1e400",
    " 5",
    "5 ",
    "5\x0b",
    "—",
    "NA",
    "1,5",
    "0x10",
    "1_0",
    "五",
    "１",
    "1e",
    ".",
    "+",
]
BAD_NUMBERS += ["NaN", "infinity", "nan(x)", "--1", "1 2", "5\u00a0", "true", '"5"']
