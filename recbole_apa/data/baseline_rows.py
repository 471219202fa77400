"""Which labelled rows of a run's data RecBole's baselines learn from; pure numpy.

Three blocks, each within the one before: ``all``, every row of the training period; ``shown``, those of them that some
training or validation prompt shows; ``drawn``, the targets of the training samples. No row of the validation or the
test split is in any of them, drawn or not; rows of the validation split only choose the epoch.
"""

from typing import Literal

import numpy as np

from recbole_apa.data.index.rows import NO_ROLE, TRAIN, VALID
from recbole_apa.data.presplit_files import PresplitRow
from recbole_apa.data.run_data import RunData

BaselineData = Literal["all", "shown", "drawn"]


def training_period(data: RunData) -> np.ndarray:
    """Which of the run's rows belong to the training period, bool, (m,).

    Those of the training split, drawn or not, and those without a split that come before one of the same user: under
    TALLRec's protocol a training user's first interactions are histories only.
    """
    roles, users, n_before = data.notes.roles[data.kept], data.rows.users.codes, data.windows.n_before
    trained = roles == TRAIN
    last = np.full(len(data.rows.users.names), -1, dtype=np.int64)
    np.maximum.at(last, users[trained], n_before[trained])
    out: np.ndarray = trained | ((roles == NO_ROLE) & (n_before < last[users]))
    return out


def baseline_rows(data: RunData, block: BaselineData) -> np.ndarray:
    """Numbers of a block's rows among the run's, in the order of the windows."""
    if block == "drawn":
        return data.targets["train"]
    chosen = training_period(data)
    if block == "shown":
        chosen &= _in_prompts(data)
    order = data.windows.order
    return order[chosen[order]]


def stopping_rows(data: RunData, block: BaselineData) -> np.ndarray:
    """Numbers of the rows on whose labels a model's best epoch is chosen, in the order of the windows.

    Whoever gives a model ``all`` rows of the training period has all of the validation split, too: every row that the
    filters leave, drawn or not. Under ``shown`` and ``drawn``, the targets of the validation samples.
    """
    if block != "all":
        return data.targets["valid"]
    order = data.windows.order
    return order[data.notes.roles[data.kept][order] == VALID]


def split_targets(data: RunData, role: int) -> np.ndarray:
    """Numbers of all rows of a split that have enough history to be samples, drawn or not, in the order of the windows.

    Args:
        role: ``TRAIN``, ``VALID`` or ``TEST``.
    """
    order, windows = data.windows.order, data.windows
    chosen = (data.notes.roles[data.kept] == role) & (windows.n_history >= data.options.samples.min_history)
    return order[chosen[order]]


def presplit_rows(data: RunData, rows: np.ndarray) -> list[PresplitRow]:
    """Rows as RecBole's models get them, each with the items that its prompt would show."""
    length, windows = data.options.samples.history_length, data.windows
    users, items, labels = data.rows.users.texts(), data.rows.items.texts(), data.rows.labels.tolist()
    return [
        PresplitRow(users[row], items[row], labels[row], [items[i] for i in windows.history(row, length)])
        for row in rows.tolist()
    ]


def past_likes(data: RunData, row: int) -> list[str]:
    """The items that a row's user liked before it, oldest first."""
    before = data.windows.history(row, int(data.windows.n_history[row]))
    return data.rows.items.texts(before[data.rows.labels[before] == 1])


def _in_prompts(data: RunData) -> np.ndarray:
    """Which rows a training or validation prompt shows with their labels, bool, (m,): targets of training samples,
    histories of both."""
    length = data.options.samples.history_length
    out = np.zeros(len(data.rows), dtype=bool)
    out[data.targets["train"]] = True
    for name in ("train", "valid"):
        for row in data.targets[name].tolist():
            out[data.windows.history(row, length)] = True
    return out
