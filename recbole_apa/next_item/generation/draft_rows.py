"""What a draft learns from: what it may see, the teacher's states, and what was chosen from there.

Shapes: n rows, d hidden size, c children of a node.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from recbole_apa.next_item.generation.alignment import ALPHA, Objective, sequence_loss
from recbole_apa.next_item.generation.node_chances import NodeReader
from recbole_apa.next_item.generation.objective import TitleSample
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
    """States below the layers with adapters, which an early exit sees, (n, d), float32."""
    final: Tensor
    """The teacher's, (n, d), float32."""
    histories: tuple[tuple[int, ...], ...]
    """Columns of a history, oldest first, of which a draft model sees the beginning, (n,)."""
    n_read: tuple[int, ...]
    """How many items of the history come before what was taken, at least 1, (n,)."""

    @classmethod
    def of_choices(cls, sample: TitleSample, history: tuple[int, ...], early: Tensor, final: Tensor) -> "DraftRows":
        """Where a user made his choices, and what he chose.

        Args:
            history: the columns of the sample's items.
            early, final: states at its decisions.
        """
        nodes = tuple(decision.node for decision in sample.decisions)
        taken = tuple({decision.child: 1} for decision in sample.decisions)
        return cls(nodes, taken, early, final, (history,) * len(nodes), sample.n_read)

    @classmethod
    def together(cls, parts: Sequence["DraftRows"]) -> "DraftRows":
        """The rows of several users, in their order."""
        return cls(
            tuple(node for part in parts for node in part.nodes),
            tuple(taken for part in parts for taken in part.taken),
            torch.cat([part.early for part in parts]),
            torch.cat([part.final for part in parts]),
            tuple(history for part in parts for history in part.histories),
            tuple(n for part in parts for n in part.n_read),
        )


class StateReader(NodeReader, Protocol):
    """A teacher after one prompt, with the states that it has at nodes."""

    def states(self, nodes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Of nodes that were read: below the layers with adapters and above all, (n, d) each, float32."""
        ...

    def fresh(self) -> "StateReader":
        """After the same prompt, with no node read."""
        ...


def rows_at(reader: StateReader, taken: Mapping[int, Mapping[int, int]], history: tuple[int, ...]) -> DraftRows:
    """Rows at nodes that were read after a prompt.

    Args:
        taken: of each node, how often each child was taken.
        history: the columns of the items in the prompt.
    """
    nodes, n = tuple(taken), len(taken)
    return DraftRows(nodes, tuple(taken.values()), *reader.states(nodes), (history,) * n, (len(history),) * n)


Guessed = Callable[[Sequence[int], int], Tensor]
"""Numbers of some rows, all of one node, and the node -> logits of its children, (n, c)."""


class Student(Protocol):
    """A draft in training."""

    @property
    def trained(self) -> list[nn.Parameter]:
        """What training changes."""
        ...

    def read(self, rows: DraftRows) -> Guessed:
        """What the draft makes of rows."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """What it has learnt, by name, float32."""
        ...


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
    draft: Student, choices: DraftRows, aligned: DraftRows, objective: Objective, k: int, logits: Logits
) -> Tensor:
    """(1 - alpha) times the cross-entropy of what users chose, plus alpha times the alignment; a scalar. Each is a mean
    over what was taken: a node that several beams go through counts as often.

    Args:
        aligned: the rows at which the draft is aligned with its teacher: of beams, or ``choices`` themselves.
        objective, k: see :mod:`~recbole_apa.next_item.generation.alignment`.
        logits: of the teacher.
    """
    chosen = mean_loss(draft, choices, logits, lambda own, teacher, taken: sequence_loss(own, taken))
    found = mean_loss(draft, aligned, logits, lambda own, teacher, taken: objective.loss(own, teacher, taken, k))
    return (1 - ALPHA) * chosen + ALPHA * found


def mean_loss(
    draft: Student, rows: DraftRows, logits: Logits, loss: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Tensor:
    """The mean over what was taken of a loss, a scalar.

    Args:
        logits: of the teacher.
        loss: of the draft's and the teacher's logits and of what was taken, (n, c) each -> (n,).
    """
    at = defaultdict[int, list[int]](list)
    for row, node in enumerate(rows.nodes):
        at[node].append(row)
    guessed = draft.read(rows)
    losses, n_taken = [], 0
    for node in sorted(at):
        own = guessed(at[node], node)
        with torch.no_grad():
            teacher = logits(rows.final[at[node]], node)
        taken = torch.zeros_like(teacher)
        for place, row in enumerate(at[node]):
            for child, times in rows.taken[row].items():
                taken[place, child] = times
        losses.append((taken.sum(1) * loss(own, teacher, taken)).sum())
        n_taken += int(taken.sum())
    return torch.stack(losses).sum() / n_taken
