"""A dataset on disk as a ``RunData``, and what is compared of one."""

from pathlib import Path

import numpy as np
from recbole.utils import init_seed

from recbole_apa import APAConfig
from recbole_apa.data.index.rows import IndexedRows
from recbole_apa.data.read_data import read_data, read_sides
from recbole_apa.data.recbole_data_options import data_options
from recbole_apa.data.recbole_settings import read_settings
from recbole_apa.data.run_data import RunData
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.pipeline.datasets import make_dataset


class Case:
    """A dataset on disk with its configuration."""

    def __init__(self, name, options):
        self.config = APAConfig("APA", name, config_dict=options)
        init_seed(self.config["seed"], True)
        self.options = data_options(self.config, read_settings(self.config).samples)
        folder = Path(self.config["data_path"])
        self.stem = folder / folder.name

    def parts(self, visible_data=None):
        return make_dataset(self.config, visible_data).build()

    def of_files(self, visible_data=None):
        visible_data, options = visible_data or VisibleData(), self.options
        loaded = read_data(options.files, options.filters, options.label, self.stem, visible_data)
        return RunData.of_files(loaded, options, visible_data)

    def of_index(self, index, cutoffs, plain_ids=False, **given):
        sides, indexed = read_sides(self.options.files, self.stem), IndexedRows(index, **given)
        return RunData.of_index(indexed, self.options, sides, cutoffs, plain_ids)


def told_rows(rows):
    """Interactions as lists."""
    times = None if rows.times is None else rows.times.tolist()
    return list(rows.users), list(rows.items), rows.labels.tolist(), times, rows.values.tolist()


def told_by(data):
    """All that is taken from a ``RunData``."""
    return {
        "samples": [data.samples[name] for name in SPLITS],
        "cutoffs": data.cutoffs,
        "digest": data.digest(b"secret").hex(),
        "raw": told_rows(data.raw),
        "rows": told_rows(data.rows),
        "order": data.windows.order.tolist(),
        "train_rows": list(data.train_rows),
    }


def told_by_dataset(parts):
    """The same, from the three parts of RecBole's dataset."""
    part = parts[0]
    return {
        "samples": [part.splits[name] for name in SPLITS],
        "cutoffs": part.cutoffs,
        "digest": part.digest(b"secret").hex(),
        "raw": told_rows(part.raw_interactions),
        "rows": told_rows(part.interactions),
        "order": part.windows.order.tolist(),
        "train_rows": list(part.train_rows),
    }


def sorted_train_rows(told):
    """Statistics do not depend on the order of training rows, which the index does not keep."""
    return {**told, "train_rows": sorted(told["train_rows"])}


def without_train_rows(told):
    """The boundaries of a split that is made anew move when rows go; roles in the index do not."""
    return {name: value for name, value in told.items() if name != "train_rows"}


def shuffled(index, seed):
    return index.take(np.random.default_rng(seed).permutation(len(index)))
