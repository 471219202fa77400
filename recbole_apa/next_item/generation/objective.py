"""What a language model is trained for to write titles: the right child at every node of the trie that branches.

A history spells its items' titles, so one pass over it has every decision that led to them. Only tokens that lead to an
item share a chance (as in :mod:`~recbole_apa.next_item.generation.node_chances`): the loss of an item is minus the log
chance that :func:`~recbole_apa.next_item.generation.search.rank_all` gives it.

Shapes: t tokens, d hidden size, c children of a node.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.next_item.generation.trie import Trie


@dataclass(frozen=True)
class Decision:
    """One choice on the way to an item."""

    place: int
    """Of the state that chooses: in a title, how many of its tokens were read before; in a sample, the position."""
    node: int
    child: int
    """Which of the node's children is right."""


@dataclass(frozen=True)
class TitleSample:
    """A history with the decisions that it shows."""

    ids: tuple[int, ...]
    """Up to the last decision, (t,)."""
    decisions: tuple[Decision, ...]
    n_read: tuple[int, ...]
    """How many items of the history come before the target of each decision."""
    n_targets: int


class TitleDecisions:
    """Finds the decisions of items as a history spells them.

    Args:
        lines: the tokens of each item's line in a history.
    """

    def __init__(self, trie: Trie, lines: Sequence[Sequence[int]]) -> None:
        leaves = {item: node for node, item in enumerate(trie.item_of) if item >= 0}
        self._of = [_decisions(trie, trie.path(leaves[column]), line) for column, line in enumerate(lines)]

    def sample(self, ids: Sequence[int], ends: Sequence[int], targets: Sequence[int]) -> TitleSample:
        """
        Args:
            ids: of the history.
            ends: the position of the last token of each item.
            targets: columns; the first is the second item of the history, and so on.
        """
        steps = [
            (n, end, step) for n, (end, c) in enumerate(zip(ends, targets, strict=False), 1) for step in self._of[c]
        ]
        found = tuple(Decision(end + step.place, step.node, step.child) for _, end, step in steps)
        last = max((decision.place for decision in found), default=0)
        return TitleSample(tuple(ids[: last + 1]), found, tuple(n for n, _, _ in steps), len(targets))


def title_loss(hidden: Tensor, decisions: Sequence[Decision], logits: Callable[[Tensor, int], Tensor]) -> Tensor:
    """The sum over decisions of minus the log chance of the right child, a scalar; in nats.

    Args:
        hidden: final states, (t, d).
        logits: states of some rows and a node -> logits of the node's children: (n, d) -> (n, c).
    """
    at = defaultdict[int, list[Decision]](list)
    for decision in decisions:
        at[decision.node].append(decision)
    losses = []
    for node in sorted(at):
        states = hidden[[decision.place for decision in at[node]]]
        right = torch.tensor([decision.child for decision in at[node]], device=hidden.device)
        losses.append(torch.nn.functional.cross_entropy(logits(states, node).float(), right, reduction="sum"))
    return torch.stack(losses).sum()


def _decisions(trie: Trie, path: Sequence[int], line: Sequence[int]) -> tuple[Decision, ...]:
    """Those after tokens that title and line have in common: what tells repeated titles apart is in no history."""
    found = []
    for depth, child in enumerate(path):
        node = trie.parents[child]
        if len(trie.children[node]) > 1:
            found.append(Decision(depth, node, trie.children[node].index(child)))
        if depth >= len(line) or trie.tokens[child] != line[depth]:
            break
    return tuple(found)
