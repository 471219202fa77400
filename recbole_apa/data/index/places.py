"""Which part of the index holds a user's rows: decided by a salted hash of the name, so it is computed, not stored."""

from collections.abc import Iterable, Iterator

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.row_blocks import row_blocks

_ROWS, _MOST = 1 << 16, 4096
INDEX_FILE, ITEMS_FILE = "index.json", "items.arrow"


def n_parts_for(n_rows: int) -> int:
    """The number of parts for so many rows: a power of two, with 65,536 rows in a part on average; at most 4096."""
    n_parts = 1
    while n_rows > n_parts * _ROWS and n_parts < _MOST:
        n_parts *= 2
    return n_parts


def parts_of(names: Iterable[str], salt: str, n_parts: int) -> np.ndarray:
    """The part of each user, (n,), int64.

    Args:
        salt: the run's salt.
        n_parts: a power of two.

    Raises:
        DataError: a name is no valid Unicode.
    """
    hashes = (int.from_bytes(digest_of("index part", salt, name)[:8], "big") for name in names)
    try:
        return np.fromiter((number % n_parts for number in hashes), dtype=np.int64)
    except UnicodeEncodeError as error:
        raise DataError(f"found a user whose name holds half of a surrogate pair: {error.object!r}") from None


def rows_of_parts(part_of_row: np.ndarray, n_parts: int) -> Iterator[np.ndarray]:
    """The numbers of the rows of each part, ascending: ``n_parts`` times.

    Args:
        part_of_row: (n,).
    """
    number = 0
    for rows in row_blocks(part_of_row, n_parts):
        parts = part_of_row[rows]
        order, last = rows[np.argsort(parts, kind="stable")], int(parts.max()) + 1
        yield from np.split(order, np.cumsum(np.bincount(parts, minlength=last)[number:-1]))
        number = last
    yield from (np.zeros(0, dtype=np.int64) for _ in range(number, n_parts))


def part_file(part: int) -> str:
    """``parts/0042.arrow``."""
    return f"parts/{part:04d}.arrow"


def file_names(n_parts: int) -> list[str]:
    """Every file of an index, relative to its folder."""
    return [INDEX_FILE, ITEMS_FILE, *map(part_file, range(n_parts))]
