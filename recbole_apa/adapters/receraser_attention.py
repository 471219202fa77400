"""RecEraser's learned attention (Chen et al., WWW'22, section 3.3), over adapters' scores instead of embeddings.

LoRA adapters have no embeddings of users and items to attend over. As in the paper, the sub-models are frozen, and a
small network decides for each sample how much each of them counts. Shapes: n samples, k shards.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_apa.core.seeding import drawn_for

WIDTH = 8
STEPS = 200
LEARNING_RATE = 1e-2
WEIGHT_DECAY = 1e-2
"""AdamW's weight decay: the network must not memorize a few hundred samples."""
CLIP = 1e-6


@dataclass(frozen=True)
class LearnedAttention:
    """alpha = softmax_k(network(margins, similarities)); the answer is sigmoid(sum_k alpha_k margin_k)."""

    network: nn.Sequential
    active: Tensor
    """(k,), bool: shards with a trained adapter."""

    def weights(self, scores: Tensor, similarity: Tensor) -> Tensor:
        """alpha from adapters' scores in (0, 1) and similarities to the shards' centres: (n, k) each -> (n, k)."""
        features = torch.cat([_margins(scores), similarity.float()], dim=1)
        alpha: Tensor = torch.softmax(self.network(features).masked_fill(~self.active, float("-inf")), dim=1)
        return alpha

    def margin(self, scores: Tensor, similarity: Tensor) -> Tensor:
        """The aggregated margin: (n, k), (n, k) -> (n,)."""
        return (self.weights(scores, similarity) * _margins(scores)).sum(1)

    @torch.no_grad()
    def __call__(self, scores: Tensor, similarity: Tensor) -> Tensor:
        """Aggregated scores, (n,)."""
        return torch.sigmoid(self.margin(scores, similarity))


def fit_attention(scores: Tensor, similarity: Tensor, labels: Tensor, active: Tensor, seed: int) -> LearnedAttention:
    """Train the network; before training all active adapters count the same.

    Args:
        scores: of each single adapter on samples that it was not trained on, (n, k).
        similarity: of h to the shards' centres, (n, k).
        labels: (n,), 0 or 1.
    """
    k = scores.shape[1]
    with drawn_for(seed, "learned attention"):
        last = nn.Linear(WIDTH, k)
        network = nn.Sequential(nn.Linear(2 * k, WIDTH), nn.ReLU(), last)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    attention = LearnedAttention(network, active)
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for _ in range(STEPS if len(labels) else 0):
        loss = F.binary_cross_entropy_with_logits(attention.margin(scores, similarity), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return attention


def _margins(scores: Tensor) -> Tensor:
    return torch.logit(scores.clamp(CLIP, 1 - CLIP))
