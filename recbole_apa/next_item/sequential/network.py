"""RecBole's own networks, asked for what they say after every item of a history and not only after the last.

Shapes: b histories, l items of the longest, m items of the catalogue, d hidden size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.recbole_models import NAME
from recbole_apa.pipeline.recbole_names import find_model

if TYPE_CHECKING:
    from recbole.model.abstract_recommender import SequentialRecommender

MODELS = ("SASRec", "GRU4Rec")
"""What they say after an item depends on that item and those before it alone: one pass has all positions."""


class _EveryPosition:
    """Before a network of RecBole's in the order of methods: the last step of its ``forward`` picks the position of the
    last item, and here keeps all of them."""

    def gather_indexes(self, output: Tensor, gather_index: Tensor) -> Tensor:
        """(b, l, d) -> the same."""
        return output


@dataclass(frozen=True)
class _Vocabulary:
    """What a network asks RecBole's dataset for."""

    n_numbers: int

    def num(self, field: str) -> int:
        """How many numbers items have, with 0 for padding."""
        return self.n_numbers


class SequentialNetwork:
    """One of :data:`MODELS` with RecBole's hyperparameters; column c of the catalogue is its item c + 1.

    Args:
        length: the most items of a history that it reads.
        seed: of its first weights; the caller's random numbers stay as they are.
    """

    def __init__(self, name: str, n_items: int, length: int, seed: int, device: str) -> None:
        told = {"MAX_ITEM_LIST_LENGTH": length, "train_neg_sample_args": None, "seed": seed, "show_progress": False}
        self.config: Any = APAConfig(name, NAME, None, told)
        self.length, self.device = length, torch.device(device)
        kind = type(f"{name}EveryPosition", (_EveryPosition, find_model(name)), {})
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            built: SequentialRecommender = kind(self.config, _Vocabulary(n_items + 1))
        self.model = built.to(self.device)

    def after_each(self, histories: Sequence[Sequence[int]]) -> Tensor:
        """What the network makes of each history after each of its items, (b, l, d).

        Args:
            histories: columns, oldest first, at most ``length`` of them and at least one.
        """
        lengths = [len(history) for history in histories]
        numbers = torch.zeros(len(histories), max(lengths), dtype=torch.int64)
        for row, history in enumerate(histories):
            numbers[row, : len(history)] = torch.tensor(history, dtype=torch.int64) + 1
        out: Tensor = self.model(numbers.to(self.device), torch.tensor(lengths, device=self.device))
        return out

    def scores(self, vectors: Tensor) -> Tensor:
        """Of all items: (..., d) -> (..., m)."""
        items: Tensor = self.model.item_embedding.weight[1:]
        return vectors @ items.T

    @torch.no_grad()
    def after(self, histories: Sequence[Sequence[int]]) -> Tensor:
        """Scores of all items after each history, of which the latest ``length`` items are read: (b, m), float64."""
        self.model.eval()
        latest = [list(history[-self.length :]) for history in histories]
        last = torch.tensor([len(history) - 1 for history in latest], device=self.device)
        vectors = self.after_each(latest)[torch.arange(len(latest), device=self.device), last]
        return self.scores(vectors).double().cpu()
