"""Samples as plain arrays, to be sent to workers: what prompts and batches are made of, and nothing else of the data.

Shapes: n samples of one split, h entries of the longest history.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.data.samples import Sample

_PADDING = ""
"""The text of number 0, which no sample shows."""


@dataclass(frozen=True)
class SentSplit:
    """The samples of one split. Items are numbers of :attr:`SentSamples.texts`."""

    ids: tuple[str, ...]
    """Sample ids, (n,): batches are ordered by them."""
    items: np.ndarray
    """Target items, (n,), int32."""
    labels: np.ndarray
    """0 or 1, (n,), int8."""
    history: np.ndarray
    """Items of the histories, oldest first, 0 on the right, (n, h), int32."""
    history_labels: np.ndarray
    """Their labels, (n, h), int8."""
    n_history: np.ndarray
    """Entries of each history, (n,), int32."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class SentSamples:
    """Samples by split, and the texts of the items that they name."""

    texts: tuple[str, ...]
    """By number; number 0 is padding."""
    splits: Mapping[str, SentSplit]


def samples_to_send(splits: Mapping[str, Sequence[Sample]], text_of: Callable[[str], str]) -> SentSamples:
    """Samples in the form in which they are sent.

    Args:
        splits: the samples, by split; not every split has to be there.
        text_of: item -> its text.
    """
    numbers: dict[str, int] = {}
    sent = {name: _split(samples, numbers) for name, samples in splits.items()}
    return SentSamples((_PADDING, *map(text_of, numbers)), sent)


def _split(samples: Sequence[Sample], numbers: dict[str, int]) -> SentSplit:
    """The samples of one split; items that have no number yet get the next one."""
    n, h = len(samples), max((len(sample.history) for sample in samples), default=0)
    items, labels = np.zeros(n, dtype=np.int32), np.zeros(n, dtype=np.int8)
    history, history_labels = np.zeros((n, h), dtype=np.int32), np.zeros((n, h), dtype=np.int8)

    def number(item: str) -> int:
        return numbers.setdefault(item, len(numbers) + 1)

    for row, sample in enumerate(samples):
        items[row], labels[row] = number(sample.item_id), sample.label
        n_shown = len(sample.history)
        history[row, :n_shown] = [number(entry.item_id) for entry in sample.history]
        history_labels[row, :n_shown] = [entry.label for entry in sample.history]
    n_history = np.array([len(sample.history) for sample in samples], dtype=np.int32)
    return SentSplit(tuple(s.sample_id for s in samples), items, labels, history, history_labels, n_history)
