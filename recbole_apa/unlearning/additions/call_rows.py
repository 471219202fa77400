"""Rows as a call gives them -> values by the run's column names."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.unlearning.requests.columns import RequestColumns
from recbole_apa.unlearning.requests.demands import shortened

CALL = "the call"


def named_rows(interactions: object, names: RequestColumns) -> Iterator[tuple[int, dict[str, object]]]:
    """The number of each row, from 1, and its values by our names.

    Args:
        interactions: rows, mappings, a data frame, or a mapping of whole columns.

    Raises:
        RequestError: something else, or columns that do not fit.
        SettingsError: names for columns, but rows that have none.
    """
    table = _columns_of(interactions)
    if table is not None:
        yield from _of_columns(*table, names)
    elif isinstance(interactions, (bytes, bytearray)) or not isinstance(interactions, Iterable):
        raise RequestError(f"found {shortened(interactions)}, expected a file or rows, e.g. {_example(names)}")
    else:
        for number, row in enumerate(interactions, start=1):
            yield number, _of_row(f"{CALL}, row {number}", row, names)


def _columns_of(given: object) -> tuple[list[str], list[Sequence[object]]] | None:
    """Names and columns of a data frame or a mapping; None if it is neither."""
    pandas = sys.modules.get("pandas")  # what was not imported made no data frame
    if pandas is not None and isinstance(given, pandas.DataFrame):
        frame: Any = given
        return [str(name) for name in frame.columns], [frame.iloc[:, k].tolist() for k in range(frame.shape[1])]
    if not isinstance(given, Mapping):
        return None
    columns = []
    for name, column in given.items():
        if isinstance(column, (str, bytes, Mapping)) or not isinstance(column, Iterable):
            raise RequestError(
                f"column {name}: found {shortened(column)}, expected a list with the values of all rows; give a single "
                "row as a list of one"
            )
        columns.append(column.tolist() if hasattr(column, "tolist") else list(column))
    return [str(name) for name in given], columns


def _of_columns(
    header: Sequence[str], columns: Sequence[Sequence[object]], names: RequestColumns
) -> Iterator[tuple[int, dict[str, object]]]:
    said = names.read_header(CALL, header)
    lengths = {name: len(column) for name, column in zip(header, columns, strict=True)}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {n}" for name, n in lengths.items())
        raise RequestError(f"{CALL}: found columns of different lengths ({shown}), expected equal ones")
    read = [(name, column) for name, column in zip(said, columns, strict=True) if name]
    for number, values in enumerate(zip(*(column for _, column in read), strict=True), start=1):
        yield number, {name: value for (name, _), value in zip(read, values, strict=True)}


def _of_row(where: str, row: object, names: RequestColumns) -> dict[str, object]:
    if isinstance(row, Mapping):
        for name in row:
            names.refuse_unknown(where, str(name))
        return {names.meaning[name]: value for name, value in row.items() if name in names.meaning}
    if isinstance(row, (str, bytes)) or not isinstance(row, Iterable):
        raise RequestError(f"{where}: found {shortened(row)}, expected e.g. {_example(names)}")
    if names.given or names.ignored:
        raise SettingsError(f"columns: found names, but {where} is a tuple of values; expected none, or mappings")
    values = list(row)
    if len(values) != len(names.names):
        without = "".join(f"; {why}" for why in names.useless.values())
        raise RequestError(
            f"{where}: found {len(values)} values, expected {len(names.names)} ({', '.join(names.names)}){without}"
        )
    return dict(zip(names.names, values, strict=True))


def _example(names: RequestColumns) -> str:
    """What a call may give."""
    return f"[({', '.join(names.names)}), ...]"
