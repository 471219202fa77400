"""A few rows, request files for them."""

from dataclasses import replace

import numpy as np

from recbole_apa.data.samples import Interactions

ROWS = Interactions(
    ["a", "a", "b", "b", "a"],
    ["x", "y", "x", "z", "x"],
    np.array([1, 0, 1, 0, 1]),
    np.array([1.0, 2.0, 3.0, 4.5, 5.0]),
)
RATED = replace(ROWS, values=np.array([4.0, 2.0, 5.0, 1.5, 3.0]))


def never(demand):
    return False


def write(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path
