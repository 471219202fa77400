"""How much each adapter counts for a sample (paper, section 3.3; formulas 6-8). Pure torch.

Shapes: b batch, v memory rows, k shards, d embedding size.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

TAU_GRID = (0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
NEIGHBOR_GRID = (10, 20, 50, 100, 200)


@dataclass(frozen=True)
class Memory:
    """What the attention looks up: validation samples, and each adapter's errors on them."""

    embeddings: Tensor
    """h, (v, d), float32."""
    scores: Tensor
    """s_k of each adapter alone, (v, k), float32."""
    labels: Tensor
    """(v,), 0 or 1."""
    users: Tensor
    """A number for each row's user, (v,), int64: rows of one user have equal numbers."""

    @property
    def errors(self) -> Tensor:
        """``|label - s_k|``, (v, k)."""
        return (self.labels[:, None] - self.scores).abs()

    @cached_property
    def directions(self) -> Tensor:
        """The embeddings normalized to length 1, (v, d), float64; computed once, used by every prediction."""
        return direction(self.embeddings)

    def similarity_to_others(self) -> Tensor:
        """Cosine similarity of each row to the rows of other users, -inf to those of the same user: (v, v).

        Two samples of one user share most of their history, unlike samples of a new user: left in, they would make the
        attention look sharper than it is. In a memory of a single user, only the row itself is left out.
        """
        same = self.users[:, None] == self.users
        same[same.all(1)] = torch.eye(len(same), dtype=torch.bool)[same.all(1)]
        return (self.directions @ self.directions.T).masked_fill(same, float("-inf"))


def direction(h: Tensor) -> Tensor:
    """Rows normalized to length 1, in float64 so that equal cosines compare equal: (b, d) -> (b, d)."""
    return F.normalize(h.double(), dim=1)


def cosine(h: Tensor, others: Tensor) -> Tensor:
    """Cosine similarities, (b, d) and (v, d) -> (b, v), float64."""
    return direction(h) @ direction(others).T


def neighbor_errors(similarity: Tensor, errors: Tensor, n: int) -> Tensor:
    """Mean error of each adapter on the n most similar memory rows: (b, v), (v, k) -> (b, k).

    Ties are broken by the memory's order, which is by sample id. Rows at -inf are never used: the mean is then over
    fewer than n rows, and 0 over none, so that all adapters count the same.
    """
    top = torch.sort(similarity, dim=1, descending=True, stable=True)
    allowed = (top.values[:, :n] > float("-inf")).to(errors.dtype)  # (b, n)
    found = errors[top.indices[:, :n]] * allowed[:, :, None]
    return found.sum(1) / allowed.sum(1, keepdim=True).clamp(min=1)


def adaptive_weights(error: Tensor, tau: float, active: Tensor) -> Tensor:
    """w_k = exp(-tau error_k) / sum_j exp(-tau error_j) over the active adapters: (b, k) -> (b, k).

    tau = 0 gives equal weights. The adapter of an empty shard is inactive and gets 0.

    Raises:
        ValueError: no adapter is active.
    """
    if not bool(active.any()):
        raise ValueError("all shards are empty: expected at least one trained adapter")
    logits = (-tau * error).masked_fill(~active, float("-inf"))
    return torch.softmax(logits, dim=1)


def major_weights(weights: Tensor) -> Tensor:
    """All weight on the largest: (b, k) -> (b, k), one-hot; the first one in a tie."""
    return F.one_hot(weights.argmax(1), weights.shape[1]).to(weights.dtype)


def semantic_weights(h: Tensor, centres: Tensor, active: Tensor) -> Tensor:
    """Softmax of the similarities to the shards' centres: (b, d), (k, d) -> (b, k)."""
    return torch.softmax(cosine(h, centres).float().masked_fill(~active, float("-inf")), dim=1)


@dataclass(frozen=True)
class Choice:
    """A (tau, n) and its validation LogLoss."""

    tau: float
    n_neighbors: int
    log_loss: float


def settle_weights(memory: Memory, active: Tensor, tau: float | str, n_neighbors: int | str) -> tuple[float, int]:
    """tau and n as given, or chosen on the memory where ``auto`` (:func:`choose_weights`)."""
    taus = TAU_GRID if tau == "auto" else (float(tau),)
    neighbors = NEIGHBOR_GRID if n_neighbors == "auto" else (int(n_neighbors),)
    best = choose_weights(memory, active, taus, neighbors)[0]
    # a small memory may have fewer neighbours than requested; the requested number is kept
    return best.tau, best.n_neighbors if n_neighbors == "auto" else int(n_neighbors)


def choose_weights(memory: Memory, active: Tensor, taus: tuple[float, ...], neighbors: tuple[int, ...]) -> list[Choice]:
    """Every (tau, n) with its LogLoss on the memory itself, best first; ties go to the smaller tau, then n.

    Each row's neighbours are rows of other users. The adapters' scores are averaged with the weights (as in
    ``prediction`` aggregation), which needs no further pass through the model. An empty memory gives equal weights, and
    so does one without any adapter.
    """
    if not len(memory.labels) or not bool(active.any()):
        return [Choice(0.0, min(neighbors), float("nan"))]
    similarity = memory.similarity_to_others()
    choices = []
    for n in sorted({min(n, max(1, len(similarity) - 1)) for n in neighbors}):
        error = neighbor_errors(similarity, memory.errors, n)
        for tau in taus:
            mixed = (adaptive_weights(error, tau, active) * memory.scores).sum(1).clamp(1e-7, 1 - 1e-7)
            loss = F.binary_cross_entropy(mixed.double(), memory.labels.double()).item()
            choices.append(Choice(tau, n, loss))
    return sorted(choices, key=lambda c: (c.log_loss, c.tau, c.n_neighbors))
