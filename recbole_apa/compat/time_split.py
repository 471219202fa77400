"""The split ``TS`` (RecBole 1.2.1, ``time_based_split``) for RecBole 1.2.0.

A user's rows after a point in time common to all users are test rows; the earlier ones are divided between training and
validation, in order.
"""

import functools
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from recbole.data.dataset import Dataset


def apply(module: ModuleType) -> None:
    """Let ``Dataset.build`` split by time if ``eval_args`` says so."""
    dataset: Any = vars(module)["Dataset"]
    own = dataset.build

    @functools.wraps(own)
    def build(self: "Dataset") -> "list[Dataset]":
        asked = self.config["eval_args"]
        split = asked["split"]
        if not isinstance(split, dict) or list(split) != ["TS"]:
            parts: list[Any] = own(self)
            return parts
        if not isinstance(split["TS"], list) or len(split["TS"]) != 3:
            raise ValueError(f"eval_args: split TS: found {split['TS']!r}, expected three shares, e.g. [0.8, 0.1, 0.1]")
        # RecBole's own method orders the rows and passes them to this one in every mode
        self.split_by_ratio = lambda ratios, group_by=None: _split(self, ratios)
        self.config["eval_args"] = {**asked, "split": {"RS": split["TS"]}, "group_by": "user"}
        try:
            parts = own(self)
        finally:
            self.config["eval_args"] = asked
            vars(self).pop("split_by_ratio", None)
        return parts

    dataset.build = build


def _split(dataset: "Dataset", ratios: Sequence[float]) -> "list[Dataset]":
    """Training, validation and test rows in these ``ratios``.

    Raises:
        ValueError: the rows have no time.
    """
    if dataset.time_field not in dataset.inter_feat:
        raise ValueError(f"eval_args: split TS needs the column {dataset.time_field!r}, which the rows do not have")
    # the parts are copies, and must split as usual
    vars(dataset).pop("split_by_ratio", None)
    shares = [ratio / sum(ratios) for ratio in ratios]
    times = dataset.inter_feat[dataset.time_field].numpy()
    point = np.percentile(times, 100 * (1 - shares[2]))
    parts: list[list[int]] = [[], [], []]
    for rows in dataset._grouped_index(dataset.inter_feat[dataset.uid_field].numpy()):
        n_early = int((times[rows] <= point).sum())
        n_train = int(n_early * (shares[0] / (1 - shares[2]))) if shares[2] < 1 else 0
        for part, chosen in zip(parts, np.split(np.array(rows), [n_train, n_early]), strict=True):
            part.extend(chosen.tolist())
    dataset._drop_unused_col()
    return [dataset.copy(dataset.inter_feat[part]) for part in parts]
