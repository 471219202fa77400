"""Ratings decide nothing in next items: a file without any needs no threshold."""

from dataclasses import replace
from pathlib import Path

from recbole_apa.core.errors import DataError
from recbole_apa.data.data_options import DataOptions, LabelRule
from recbole_apa.data.reader.header import parse_header


def with_numbers_that_are_there(data: DataOptions, stem: Path) -> DataOptions:
    """Options of which times stand in for ratings, if the file of interactions has no ratings.

    Args:
        stem: as :func:`~recbole_apa.data.read_data.read_data`.

    Raises:
        DataError: a malformed header, or neither ratings nor times.
    """
    path = stem.with_name(f"{stem.name}.inter")
    if not path.is_file():
        return data  # the reader says so
    with path.open(encoding=data.files.encoding) as file:
        cells = file.readline().rstrip("\r\n").split(data.files.separator)
    names = {field.name for field in parse_header(path, cells, data.files.separator)}
    if data.label.column in names:
        return data
    if data.files.time not in names:
        raise DataError(
            f"{path}: found the columns {', '.join(sorted(names))}; expected {data.files.time!r}, which orders a "
            f"user's rows, or {data.label.column!r}, or another column of numbers that is named, e.g. "
            '--threshold="{number: 0}": it decides nothing'
        )
    return replace(data, label=LabelRule(data.files.time, 0.0))
