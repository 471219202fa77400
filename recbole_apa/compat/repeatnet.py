"""RepeatNet's two decoders without a tensor over rows, positions and items (RecBole 1.2.1 fixed the same).

Shapes: B rows, L positions in a history, H hidden size, I items. Source: Ren et al., "RepeatNet", AAAI 2019,
formulas 6 to 9.
"""

from types import ModuleType
from typing import Protocol

import torch
from torch import Tensor, nn


class _Repeat(Protocol):
    """RecBole's ``Repeat_Recommendation_Decoder``."""

    dropout: nn.Dropout
    Ur: nn.Linear
    Wr: nn.Linear
    Vr: nn.Linear
    num_item: int


class _Explore(Protocol):
    """RecBole's ``Explore_Recommendation_Decoder``."""

    dropout: nn.Dropout
    Ue: nn.Linear
    We: nn.Linear
    Ve: nn.Linear
    matrix_for_explore: nn.Linear


def apply(module: ModuleType) -> None:
    """Replace ``forward`` of both decoders of ``recbole.model.sequential_recommender.repeatnet``."""
    vars(module)["Repeat_Recommendation_Decoder"].forward = repeat
    vars(module)["Explore_Recommendation_Decoder"].forward = explore


def repeat(
    self: _Repeat, all_memory: Tensor, last_memory: Tensor, item_seq: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Probabilities (B, I) of the history's items: for each item the sum of its positions' attention."""
    weights = _attention(self.dropout(self.Ur(all_memory)), self.dropout(self.Wr(last_memory)), self.Vr, mask)
    return weights.new_zeros(len(item_seq), self.num_item).scatter_add(1, item_seq, weights)


def explore(
    self: _Explore, all_memory: Tensor, last_memory: Tensor, item_seq: Tensor, mask: Tensor | None = None
) -> Tensor:
    """Probabilities (B, I) of the items that are not in the history."""
    weights = _attention(self.dropout(self.Ue(all_memory)), self.dropout(self.We(last_memory)), self.Ve, mask)
    state = (weights.unsqueeze(-1) * all_memory).sum(dim=1)
    scores = self.dropout(self.matrix_for_explore(torch.cat([state, last_memory], dim=1)))
    # padding, item 0, is not in the history
    seen = torch.zeros_like(scores, dtype=torch.bool).scatter(1, item_seq, item_seq > 0)
    return scores.masked_fill(seen, float("-inf")).softmax(dim=1)


def _attention(places: Tensor, last: Tensor, score: nn.Linear, mask: Tensor | None) -> Tensor:
    """Weights (B, L) of the positions, from hidden states (B, L, H) and the last one (B, H)."""
    energies = score(torch.tanh(places + last.unsqueeze(1))).squeeze(-1)
    if mask is not None:
        energies = energies.masked_fill(mask, -1e9)
    return energies.softmax(dim=-1)
