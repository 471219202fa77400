"""RecBole's atomic files are plain tab-separated text; RecBole 1.2.1 reads them as quoted CSV."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pandas as pd


@contextmanager
def without_quoting() -> Iterator[None]:
    """While this is open, ``pandas.read_csv`` takes quotation marks as text: a title such as ``"O" Is for
    Outlaw`` would break the file otherwise."""
    original = pd.read_csv
    pd.read_csv = partial(original, quoting=csv.QUOTE_NONE)
    try:
        yield
    finally:
        pd.read_csv = original
