"""Many rows, those of some users at a time: sorting one block after another gives what sorting all of them would, in
less room."""

from collections.abc import Iterator

import numpy as np

BLOCK = 1 << 21
"""About how many rows a block has."""


def row_numbers(n: int) -> np.ndarray:
    """0 to n - 1, (n,), in the narrower of int32 and int64 that holds them."""
    return np.arange(n, dtype=row_type(n))


def row_type(n: int) -> type[np.signedinteger]:
    """The narrower of int32 and int64 that holds the numbers of n rows."""
    return np.int32 if n <= np.iinfo(np.int32).max else np.int64


def counts(codes: np.ndarray, n_codes: int, size: int = BLOCK) -> np.ndarray:
    """How often each code occurs, int64, (n_codes,).

    Args:
        codes: of any integer type, 0 to ``n_codes`` - 1, (n,).
        size: how many are counted at a time: numpy makes a copy of them, of 64 bits each.
    """
    out = np.zeros(n_codes, dtype=np.int64)
    for start in range(0, len(codes), size):
        out += np.bincount(codes[start : start + size], minlength=n_codes)
    return out


def row_blocks(codes: np.ndarray, n_codes: int, size: int = BLOCK) -> Iterator[np.ndarray]:
    """The rows of code 0, of code 1 and so on, many codes at a time: numbers of rows, ascending, int64. Each code is
    whole in one block, each row in one; no block is empty.

    Args:
        codes: of any integer type, 0 to ``n_codes`` - 1, (n,).
        size: the most rows of a block, unless one code alone has more.
    """
    ends = np.cumsum(counts(codes, n_codes))
    begin = start = 0
    while start < len(codes):
        end = max(int(np.searchsorted(ends, start + size, side="right")), begin + 1)
        if ends[end - 1] > start:
            yield np.flatnonzero((codes >= begin) & (codes < end))
        begin, start = end, int(ends[end - 1])
