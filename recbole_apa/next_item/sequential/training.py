"""Train a sequential network on every position of the training periods; the best epoch by validation NDCG@10."""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.ranking import RankedSplit, split_of
from recbole_apa.next_item.sequential.network import SequentialNetwork

TOP = 10
AT_ONCE = 256
"""Histories scored together."""


@dataclass(frozen=True)
class SequentialModel:
    """A trained network, at its best epoch."""

    network: SequentialNetwork
    best_epoch: int
    """Counted from 1."""
    n_epochs: int
    valid_ndcg: float
    """NDCG@10 of the validation targets at the best epoch."""

    def scores_of(self, split: RankedSplit) -> Tensor:
        """Scores of all items for the users of a split, (b, m), float64."""
        return scores_after(self.network, split.histories)


def train_sequential(name: str, data: NextItemData, length: int, seed: int, device: str) -> SequentialModel:
    """Train with RecBole's learning rate, epochs and patience, by Adam on the full softmax; a batch has about as many
    targets as RecBole's batch has rows.

    Args:
        name: one of :data:`~recbole_apa.next_item.sequential.network.MODELS`.
        length: the most items of a history that are read.
        seed: of weights, dropout and the order of batches; the caller's random numbers stay as they are.
    """
    network = SequentialNetwork(name, len(data.catalogue), length, seed, device)
    pieces = [piece for s in data.sequences for piece in pieces_of(data.catalogue.columns(s.trained), length)]
    valid = split_of(data, "valid")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _fit(network, pieces, lambda: ndcg(valid, scores_after(network, valid.histories)))


def pieces_of(columns: Sequence[int], length: int) -> list[list[int]]:
    """A training period cut from its end into stretches of ``length`` + 1 items or fewer, of which each begins with the
    last item of the one before: every item but the first is the target of one position."""
    found, end = [], len(columns)
    while end > 1:
        start = max(0, end - length - 1)
        found.append(list(columns[start:end]))
        end = start + 1
    return found[::-1]


def scores_after(network: SequentialNetwork, histories: Sequence[Sequence[int]]) -> Tensor:
    """Scores of all items after each history, (b, m), float64."""
    parts = [network.after(histories[i : i + AT_ONCE]) for i in range(0, len(histories), AT_ONCE)]
    return torch.cat(parts)


def ndcg(split: RankedSplit, scores: Tensor) -> float:
    """NDCG@10 of a split's targets, with the mask that all rows of a comparison have."""
    ranks = split.ranks(scores)
    return float(((ranks <= TOP) / torch.log2(1 + ranks)).mean())


def _fit(network: SequentialNetwork, pieces: Sequence[Sequence[int]], judged: Callable[[], float]) -> SequentialModel:
    config, model = network.config, network.model
    optimizer = torch.optim.Adam(model.parameters(), lr=config["learning_rate"], weight_decay=config["weight_decay"])
    at_once = max(1, int(config["train_batch_size"]) // network.length)
    best, best_epoch, weights, epoch = -1.0, 0, model.state_dict(), 0
    while epoch < int(config["epochs"]) and epoch - best_epoch <= int(config["stopping_step"]):
        epoch += 1
        model.train()
        for batch in _batches(pieces, at_once):
            optimizer.zero_grad()
            _loss(network, batch).backward()
            optimizer.step()
        value = judged()
        if value > best:
            best, best_epoch, weights = value, epoch, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return SequentialModel(network, best_epoch, epoch, best)


def _batches(pieces: Sequence[Sequence[int]], at_once: int) -> Iterator[list[Sequence[int]]]:
    for rows in torch.randperm(len(pieces)).split(at_once):
        yield [pieces[row] for row in rows.tolist()]


def _loss(network: SequentialNetwork, batch: Sequence[Sequence[int]]) -> Tensor:
    """The mean cross-entropy of all targets of a batch."""
    vectors = network.after_each([piece[:-1] for piece in batch])
    targets = torch.full(vectors.shape[:2], -1, dtype=torch.int64)
    for row, piece in enumerate(batch):
        targets[row, : len(piece) - 1] = torch.tensor(piece[1:], dtype=torch.int64)
    is_target = targets >= 0
    scores = network.scores(vectors[is_target.to(vectors.device)])
    return torch.nn.functional.cross_entropy(scores, targets[is_target].to(vectors.device))
