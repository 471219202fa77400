"""MovieLens 100k without the rows that the paper's protocol tests on: the data that settings may be chosen on."""

import shutil
from pathlib import Path

import numpy as np
import recbole

from recbole_apa.data.samples import order_windows
from recbole_apa.data.splits import tallrec_split

NAME = "ml-100k"
USER, TIME = 0, 3
"""Columns of the ``.inter`` file."""


def write_development_data(folder: Path, source: Path | None = None) -> Path:
    """Copy the dataset into ``folder`` without the interactions that ``protocol: tallrec`` tests on.

    The same protocol then validates and tests on the users just before the real test users: its last 2,000 samples are
    the real validation samples and the last 1,000 real training samples.

    Args:
        source: the dataset's folder; None means the one inside RecBole.

    Returns:
        the value for ``data_path``.
    """
    source = source or Path(recbole.__file__).parent / "dataset_example" / NAME
    shutil.copytree(source, folder / NAME, dirs_exist_ok=True)
    inter = folder / NAME / f"{NAME}.inter"
    head, *lines = inter.read_text().splitlines()
    cells = [line.split("\t") for line in lines]
    windows = order_windows([row[USER] for row in cells], np.array([float(row[TIME]) for row in cells]))
    tested = set(tallrec_split(windows)["test"].tolist())
    kept = [line for n, line in enumerate(lines) if n not in tested]
    inter.write_text("\n".join([head, *kept]) + "\n")
    return folder
