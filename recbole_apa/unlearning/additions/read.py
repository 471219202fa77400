"""Read an addition strictly: a file or a call -> :class:`Incoming`. No row is dropped; what is wrong is refused."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from recbole_apa.core.errors import DataError, RequestError
from recbole_apa.data.data_options import FileOptions, LabelRule
from recbole_apa.data.read_data import INTER, read_columns, wrong_ids, wrong_times
from recbole_apa.data.reader import Field, Rule, Table, strict
from recbole_apa.data.reader.plain import Record, collect
from recbole_apa.data.reader.problems import Problems
from recbole_apa.data.tokens import Tokens
from recbole_apa.unlearning.additions.call_rows import CALL, named_rows
from recbole_apa.unlearning.additions.incoming import Incoming
from recbole_apa.unlearning.requests.columns import RequestColumns
from recbole_apa.unlearning.requests.demands import shortened
from recbole_apa.unlearning.requests.files import read_csv, read_json_lines

if TYPE_CHECKING:
    import pandas

    Rows: TypeAlias = Iterable[Sequence[object]] | Iterable[Mapping[str, object]]
    Given: TypeAlias = str | Path | Rows | Mapping[str, Sequence[object]] | pandas.DataFrame
    """What :func:`read_incoming` reads."""

_USUAL_TIME = "timestamp"


@dataclass(frozen=True)
class _Form:
    """What each row has to have."""

    names: RequestColumns
    value: str
    """The run's column that the label is derived from."""
    time: str | None
    """The run's column of times, if it has any."""

    @property
    def ids(self) -> tuple[str, ...]:
        """The run's columns of users and items."""
        return self.names.names[:2]

    @property
    def numbers(self) -> tuple[str, ...]:
        """The others."""
        return self.names.names[2:]


_READERS = {".csv": read_csv, ".jsonl": read_json_lines, ".json": read_json_lines}


def read_incoming(
    interactions: "Given",
    files: FileOptions,
    label: LabelRule,
    has_times: bool,
    columns: Mapping[str, object] | None = None,
) -> Incoming:
    """Read the rows that are to join a run.

    Args:
        interactions: a file: ``.inter`` (RecBole's, in the run's separator and encoding), ``.csv``, or ``.jsonl`` /
            ``.json`` with one object a line. Or rows (user, item, value), with the time behind if the run has times;
            or mappings from the run's column names; or a data frame or a mapping of whole columns. The value is what
            the label is derived from.
        files, label: the run's.
        has_times: whether the run has times; each row then needs one.
        columns: names of the columns, if not the run's, and what to ignore: ``{"user_id": "uid", "ignore": ["tag"]}``.

    Raises:
        RequestError: there are no rows, or columns or rows are wrong; lists the first ten, each with its line or row.
        SettingsError: ``columns`` is malformed.
    """
    form = _form(files, label, has_times, columns)
    try:
        if isinstance(interactions, (str, Path)):
            return _of_file(Path(interactions), form, files)
        return _of_records(named_rows(interactions, form.names), form, Problems(CALL, "row"))
    except DataError as error:
        raise RequestError(f"{error}; nothing was added") from None


def _form(files: FileOptions, label: LabelRule, has_times: bool, columns: Mapping[str, object] | None) -> _Form:
    time = files.time or _USUAL_TIME
    wanted = dict.fromkeys((files.user, files.item, label.column, *((time,) if has_times else ())))
    useless = {} if time in wanted else {time: "the run has no times"}
    return _Form(RequestColumns.of_addition(columns, tuple(wanted), useless), label.column, time if has_times else None)


def _of_file(path: Path, form: _Form, files: FileOptions) -> Incoming:
    if not path.is_file():
        raise RequestError(f"{path}: found no such file, expected an addition: .inter, .csv or .jsonl")
    if path.suffix == f".{INTER}":
        return _incoming(_atomic_table(path, form, files), form, Problems(path))
    if path.suffix not in _READERS:
        raise RequestError(f"{path}: found the ending {path.suffix!r}, expected .{INTER}, {', '.join(_READERS)}")
    try:
        return _of_records(_READERS[path.suffix](path, form.names), form, Problems(path))
    except (OSError, UnicodeError) as error:
        raise RequestError(f"cannot read the addition {path}: {error}; nothing was added") from error


def _atomic_table(path: Path, form: _Form, files: FileOptions) -> Table:
    """The columns of an atomic file, under the run's names."""
    theirs = {name: column for column, name in form.names.meaning.items()}
    user, item = (theirs[name] for name in form.ids)
    numbers = tuple(theirs[name] for name in form.numbers)
    # the run's options, but for what this file's columns are called
    renamed = replace(
        files, user=user, item=item, ids=(user, item), numbers=numbers, load={INTER: [*theirs.values()]}, unload=None
    )
    table = read_columns(path, INTER, renamed)
    if table is None:
        raise RequestError(f"{path}, line 1: found none of the columns {', '.join(theirs.values())}; nothing was added")
    form.names.read_header(f"{path}, line 1", [field.name for field in table.header])
    columns = {name: table.columns[column] for name, column in theirs.items()}
    rules = {name: table.rules[column] for name, column in theirs.items()}
    return replace(table, columns=columns, rules=rules)


def _of_records(records: Iterator[tuple[int, Mapping[str, object]]], form: _Form, problems: Problems) -> Incoming:
    """
    Args:
        records: the place of each row, and its values by the run's names.
    """
    header = (*(Field(name, "token") for name in form.ids), *(Field(name, "float") for name in form.numbers))
    rules = {field.name: strict(field) for field in header}
    # quoted: the places of the rows are kept, as they need not be one line each
    table = collect(Path(problems.path), header, rules, _cells(records, rules, problems), problems, quoted=True)
    return _incoming(table, form, problems)


def _cells(
    records: Iterator[tuple[int, Mapping[str, object]]], rules: Mapping[str, Rule], problems: Problems
) -> Iterator[Record]:
    """Each row as the texts of a file's cells."""
    for place, values in records:
        cells = []
        for name, rule in rules.items():
            value = values.get(name)
            text = _number_cell(value) if rule.is_number else _id_cell(value)
            if text is None:
                expected = "a number" if rule.is_number else "a string or a whole number"
                problems.add(place, f"column {name}: found {shortened(value)}, expected {expected}")
            cells.append(text or "")
        yield place, cells


def _id_cell(value: object) -> str | None:
    """An id as text, empty if it is missing; None if it is no id."""
    if _is_missing(value):
        return ""
    if isinstance(value, Integral) and not isinstance(value, bool):
        return str(int(value))
    return str(value) if isinstance(value, str) else None


def _number_cell(value: object) -> str | None:
    """A number as a text that gives the same number, empty if it is missing; None if it is no number."""
    if _is_missing(value):
        return ""
    if isinstance(value, Real) and not isinstance(value, bool):
        return _id_cell(value) or repr(float(value))
    return str(value) if isinstance(value, str) else None


def _is_missing(value: object) -> bool:
    """Whether a value is None, or the NaN that data frames have for it."""
    return value is None or (isinstance(value, Real) and bool(value != value))


def _incoming(table: Table, form: _Form, problems: Problems) -> Incoming:
    """
    Args:
        problems: where the rows come from; none were found so far.
    """
    if not len(table):
        raise RequestError(f"{problems.path} has no rows, expected one for each interaction; nothing was added")
    user, item = form.ids
    users, items = table.texts(user).compact(), table.texts(item).compact()
    times, values = None if form.time is None else table.numbers(form.time), table.numbers(form.value)
    wrong = [
        *((int(row), f"no {name}") for name in form.names.names for row in np.flatnonzero(table.missing(name))),
        *((row, f"column {name}: {says}") for name, ids in ((user, users), (item, items)) for row, says in _odd(ids)),
        *((row, f"column {form.time}: {says}") for row, says in ({} if times is None else wrong_times(times)).items()),
    ]
    lines = np.arange(len(table)) + 2 if table.lines is None else table.lines
    incoming = Incoming(users, items, times, values, str(problems.path), None if problems.unit == "row" else lines)
    wrong += [(row, f"the same as {problems.unit} {lines[first]}") for row, first in _repeats(incoming)]
    for row, says in sorted(wrong):
        problems.add(int(lines[row]), says)
    problems.refuse()
    return incoming


def _odd(ids: Tokens) -> Iterator[tuple[int, str]]:
    """Rows whose id cannot be kept or could not be named by a request, and why."""
    yield from wrong_ids(ids).items()
    for code, name in enumerate(ids.names):
        says = ""
        if name and not name.strip():
            says = "expected an id that is more than blanks"
        elif not _is_encodable(name):
            says = "expected whole characters: it cannot be encoded as UTF-8"
        for row in np.flatnonzero(ids.codes == code) if says else ():
            yield int(row), f"found {name!r}, {says}"


def _is_encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _repeats(rows: Incoming) -> Iterator[tuple[int, int]]:
    """Rows that are equal to an earlier one in all that is read, and that one."""
    times = [0.0] * len(rows) if rows.times is None else rows.times.tolist()
    first: dict[tuple[int, int, float, float], int] = {}
    keys = zip(rows.users.codes.tolist(), rows.items.codes.tolist(), times, rows.values.tolist(), strict=True)
    for row, key in enumerate(keys):
        if first.setdefault(key, row) != row:
            yield row, first[key]
