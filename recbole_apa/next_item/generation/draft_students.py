"""Two kinds of drafts, as they are trained: the map of an early exit, and a model of its own over items.

Shapes: n rows, d hidden size of the language model, c children of a node.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recbole_apa.next_item.generation.draft_rows import DraftRows, Guessed, Logits, StateReader, Student, rows_at
from recbole_apa.next_item.generation.item_network import ItemNetwork, SumsBelow

EXIT_MAP = "exit_map"


class ExitStudent:
    """The map from states below the layers with adapters to those above them; the head on top is the target's.

    Args:
        exit_map: where training starts, (d, d + 1).
        logits: of the head.
    """

    def __init__(self, exit_map: Tensor, logits: Logits) -> None:
        self._map, self._logits = nn.Parameter(exit_map.clone()), logits

    @property
    def trained(self) -> list[nn.Parameter]:
        """See :class:`~recbole_apa.next_item.generation.draft_rows.Student`."""
        return [self._map]

    def read(self, rows: DraftRows) -> Guessed:
        """See the protocol."""
        final = rows.early @ self._map[:, :-1].T + self._map[:, -1]
        return lambda at, node: self._logits(final[at], node)

    def tensors(self) -> dict[str, Tensor]:
        """See the protocol."""
        return {EXIT_MAP: self._map.detach().clone()}


class ModelStudent:
    """A network over items, of which each node's children are sums."""

    def __init__(self, network: ItemNetwork, below: SumsBelow) -> None:
        self.network, self._below = network, below

    @property
    def trained(self) -> list[nn.Parameter]:
        """See the protocol."""
        return list(self.network.parameters())

    def read(self, rows: DraftRows) -> Guessed:
        """See the protocol. A history of several rows is read once."""
        number = {history: i for i, history in enumerate(dict.fromkeys(rows.histories))}
        vectors = self.network.after_each(list(number))
        of_rows = [number[history] for history in rows.histories], [n - 1 for n in rows.n_read]
        scores = self.network.scores(vectors[of_rows])
        return lambda at, node: self._below(scores[at], node)

    def tensors(self) -> dict[str, Tensor]:
        """See the protocol."""
        return self.network.tensors()


class OwnReader:
    """What a draft in training says after a prompt, while its teacher reads every node that it goes to: a draft's own
    beams, with the states that the teacher has there.

    Args:
        teacher: after the prompt.
        history: the columns of the items in the prompt.
    """

    def __init__(self, draft: Student, teacher: StateReader, history: tuple[int, ...]) -> None:
        self._draft, self._teacher, self._history = draft, teacher, history

    def read(self, nodes: Sequence[int]) -> None:
        """See :class:`~recbole_apa.next_item.generation.NodeReader`."""
        self._teacher.read(nodes)

    def has(self, node: int) -> bool:
        """See the protocol."""
        return self._teacher.has(node)

    def logits(self, node: int, tokens: Sequence[int]) -> Tensor:
        """See the protocol."""
        with torch.no_grad():
            return self._draft.read(rows_at(self._teacher, {node: {}}, self._history))([0], node)[0]

    def fresh(self) -> "OwnReader":
        """See the protocol."""
        return OwnReader(self._draft, self._teacher.fresh(), self._history)
