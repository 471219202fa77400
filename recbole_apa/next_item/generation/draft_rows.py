"""What a draft learns from: states below and above the layers with adapters, and what was chosen from there.

Shapes: n rows, d hidden size, c children of a node.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.next_item.generation.alignment import ALPHA, Objective, sequence_loss
from recbole_apa.next_item.generation.objective import Decision
from recbole_apa.next_item.generation.trie import Trie

Logits = Callable[[Tensor, int], Tensor]
"""States of some rows and a node -> logits of the node's children: (n, d) -> (n, c)."""


@dataclass(frozen=True)
class DraftRows:
    """Of one user."""

    nodes: tuple[int, ...]
    """The branching node of each row, (n,)."""
    taken: tuple[Mapping[int, int], ...]
    """How often each of its children was taken, (n,)."""
    early: Tensor
    """States that the draft sees, (n, d), float32."""
    final: Tensor
    """The teacher's, (n, d), float32."""

    @classmethod
    def of_choices(cls, decisions: Sequence[Decision], early: Tensor, final: Tensor) -> "DraftRows":
        """Where a user made his choices, and what he chose."""
        return cls(tuple(d.node for d in decisions), tuple({d.child: 1} for d in decisions), early, final)

    @classmethod
    def together(cls, parts: Sequence["DraftRows"]) -> "DraftRows":
        """The rows of several users, in their order."""
        return cls(
            tuple(node for part in parts for node in part.nodes),
            tuple(taken for part in parts for taken in part.taken),
            torch.cat([part.early for part in parts]),
            torch.cat([part.final for part in parts]),
        )


def taken_by_beams(trie: Trie, ends: Sequence[int]) -> dict[int, dict[int, int]]:
    """Branching node -> child -> how many of some beams went there, in order of the nodes.

    Args:
        ends: the node of each beam's item.
    """
    found: dict[int, Counter[int]] = {}
    for end in ends:
        for child in trie.path(end):
            node = trie.parents[child]
            if len(trie.children[node]) > 1:
                found.setdefault(node, Counter())[trie.children[node].index(child)] += 1
    return {node: dict(sorted(found[node].items())) for node in sorted(found)}


def draft_loss(
    exit_map: Tensor, choices: DraftRows, beams: DraftRows | None, objective: Objective, k: int, logits: Logits
) -> Tensor:
    """(1 - alpha) times the cross-entropy of what users chose, plus alpha times the alignment; a scalar. Each is a mean
    over what was taken: a node that several beams go through counts as often.

    Args:
        exit_map: from early to final states, (d, d + 1).
        beams: of the teacher's beams; None aligns where users made their choices.
        objective, k: see :mod:`~recbole_apa.next_item.generation.alignment`.
    """
    chosen = _mean(exit_map, choices, logits, lambda draft, teacher, taken: sequence_loss(draft, taken))
    rows = choices if beams is None else beams
    aligned = _mean(exit_map, rows, logits, lambda draft, teacher, taken: objective.loss(draft, teacher, taken, k))
    return (1 - ALPHA) * chosen + ALPHA * aligned


def _mean(
    exit_map: Tensor, rows: DraftRows, logits: Logits, loss: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """The mean of a loss of draft's and teacher's logits and of what was taken."""
    at = defaultdict[int, list[int]](list)
    for row, node in enumerate(rows.nodes):
        at[node].append(row)
    guessed = rows.early @ exit_map[:, :-1].T + exit_map[:, -1]
    losses, n_taken = [], 0
    for node in sorted(at):
        draft = logits(guessed[at[node]], node)
        with torch.no_grad():
            teacher = logits(rows.final[at[node]], node)
        taken = torch.zeros_like(teacher)
        for place, row in enumerate(at[node]):
            for child, times in rows.taken[row].items():
                taken[place, child] = times
        losses.append((taken.sum(1) * loss(draft, teacher, taken)).sum())
        n_taken += int(taken.sum())
    return torch.stack(losses).sum() / n_taken
