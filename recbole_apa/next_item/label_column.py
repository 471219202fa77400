"""Ratings decide nothing in next items: rows without any need no threshold."""

from dataclasses import replace
from pathlib import Path

from recbole_apa.core.errors import DataError
from recbole_apa.data.data_options import DataOptions, LabelRule
from recbole_apa.data.reader import FileForm, read_header

INTER = "inter"


def with_numbers_that_are_read(data: DataOptions, stem: Path) -> DataOptions:
    """Options of which times stand in for ratings, if no ratings are read.

    Args:
        stem: as :func:`~recbole_apa.data.read_data.read_data`.

    Raises:
        DataError: the reader rejects the file, or it has neither ratings nor times.
    """
    path = stem.with_name(f"{stem.name}.{INTER}")
    if not path.is_file():
        return data  # the reader says so
    form = FileForm(data.files.separator, data.files.encoding)
    names = {field.name for field in read_header(path, form)}
    wanted, unwanted = data.files.columns(INTER)
    read = (names if wanted is None else names & wanted) - unwanted
    if data.label.column in read:
        return data
    if data.files.time in read:
        return replace(data, label=LabelRule(data.files.time, 0.0))
    if names & {data.label.column, data.files.time}:
        return data  # the reader says that load_col leaves them out
    raise DataError(
        f"{path}: found the columns {', '.join(sorted(names))}; expected {data.files.time!r}, which orders a user's "
        f"rows, or {data.label.column!r}, or another column of numbers that is named, e.g. "
        '--threshold="{number: 0}": it decides nothing'
    )
