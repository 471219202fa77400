"""Read how likely users are to ask to be forgotten: the likely are placed in the last slices of their shards."""

import csv
from pathlib import Path

from recbole_apa.core.errors import DataError

HEADER = ["user_id", "likelihood"]


def read_slice_order(path: Path, n_slices: int) -> dict[str, int]:
    """User -> slice, by fixed thresholds: ``likelihood`` p is in slice floor(n p), and 1 in the last.

    Args:
        path: CSV with the header ``user_id,likelihood``, a line for each user, p from 0 to 1.

    Raises:
        DataError: cannot be read or is malformed, with the line; or shards have one slice alone.
    """
    if n_slices < 2:
        raise DataError(f"slice_order: found shard_slices: {n_slices}, expected at least 2 to place users in")
    out: dict[str, int] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if header != HEADER:
                raise DataError(f"{path}, line 1: found {','.join(header)[:80]!r}, expected {','.join(HEADER)}")
            for row in (row for row in reader if row):
                user, likelihood = _parsed(row, f"{path}, line {reader.line_num}")
                if user in out:
                    raise DataError(f"{path}, line {reader.line_num}: the user is named in an earlier line, too")
                out[user] = min(int(n_slices * likelihood), n_slices - 1)
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"slice_order: cannot read {path}: {error}") from error
    return out


def _parsed(row: list[str], where: str) -> tuple[str, float]:
    try:
        user, text = row
        likelihood = float(text)
    except ValueError:
        raise DataError(f"{where}: found {len(row)} cells, expected a user and a number from 0 to 1") from None
    if not user or not 0 <= likelihood <= 1:
        raise DataError(f"{where}: expected a user and a number from 0 to 1, found {text[:20]!r} for the number")
    return user, likelihood
