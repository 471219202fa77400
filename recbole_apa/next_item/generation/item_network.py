"""A draft model: a small causal network over a catalogue's items, which says after each item what comes next.

It reads items where the target reads tokens: one tiny pass a user has the chances of all items, and a node's chance is
the sum over the items below it, so that no step of a search needs a pass of its own.

Shapes: b histories, l items of the longest, n rows, m items of the catalogue, c children of a node, d size.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_apa.core.seeding import drawn_for
from recbole_apa.next_item.generation.trie import Trie

N_BLOCKS = 2
INNER = 2
"""Width of a block's hidden layer, in times of d."""
SPREAD = 0.02
"""Standard deviation of the first weights."""


class _Block(nn.Module):
    """Attention to what came before, then a layer of its own for each place; both are added to what they read."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.before_attention, self.before_inner = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention, self.attended = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.inner, self.outer = nn.Linear(size, INNER * size), nn.Linear(INNER * size, size)

    def forward(self, x: Tensor) -> Tensor:
        """(b, l, d) -> the same."""
        q, k, v = self.attention(self.before_attention(x)).chunk(3, -1)
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        weights = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(later, float("-inf")).softmax(-1)
        x = x + self.attended(weights @ v)
        out: Tensor = x + self.outer(F.gelu(self.inner(self.before_inner(x))))
        return out


class ItemNetwork(nn.Module):
    """Items and their places in a history in, items out, by the same vectors.

    Args:
        n_items: m.
        length: the most items of a history that it reads.
        size: d.
        seed: of its first weights, in which nothing else has a part; the caller's random numbers stay as they are.
    """

    def __init__(self, n_items: int, length: int, size: int, seed: int = 0) -> None:
        super().__init__()
        self.items, self.places = nn.Parameter(torch.empty(n_items, size)), nn.Parameter(torch.empty(length, size))
        self.bias = nn.Parameter(torch.zeros(n_items))
        with drawn_for(seed, "draft model"), torch.no_grad():
            self.blocks = nn.ModuleList(_Block(size) for _ in range(N_BLOCKS))
            self.norm = nn.LayerNorm(size)
            for name, parameter in self.named_parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0, SPREAD)
                elif name.endswith("bias"):
                    parameter.zero_()

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "ItemNetwork":
        """With the parameters that :meth:`tensors` gave.

        Raises:
            RuntimeError: they are not all of one network's.
        """
        (n_items, size), length = tensors["items"].shape, len(tensors["places"])
        network = cls(n_items, length, size)
        network.load_state_dict(dict(tensors))
        return network

    def tensors(self) -> dict[str, Tensor]:
        """A copy of its parameters, by name, float32."""
        return {name: parameter.detach().clone() for name, parameter in self.named_parameters()}

    def after_each(self, histories: Sequence[Sequence[int]]) -> Tensor:
        """What it makes of each history after each of its items, (b, l, d); of places behind a history's end, nothing
        that means anything.

        Args:
            histories: columns, oldest first, at least one and at most as many as there are places.
        """
        lengths = [len(history) for history in histories]
        columns = torch.zeros(len(histories), max(lengths), dtype=torch.int64)
        for row, history in enumerate(histories):
            columns[row, : lengths[row]] = torch.tensor(history, dtype=torch.int64)
        x = self.items[columns] + self.places[: max(lengths)]
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.norm(x)
        return out

    def scores(self, vectors: Tensor) -> Tensor:
        """Logits of all items: (n, d) -> (n, m)."""
        return vectors @ self.items.T + self.bias

    @torch.no_grad()
    def chances(self, history: Sequence[int]) -> Tensor:
        """Of all items after a history, (m,), float64; they sum to 1."""
        return torch.softmax(self.scores(self.after_each([history])[0, -1:])[0].double(), 0)


class SumsBelow:
    """From logits of items to logits of a node's children: of each the logarithm of the sum over the items below."""

    def __init__(self, trie: Trie) -> None:
        self._trie = trie
        self._below: list[list[int]] = [[] for _ in range(len(trie))]
        for node in range(len(trie) - 1, -1, -1):  # children have larger numbers than their parents
            own = trie.item_of[node]
            self._below[node] = [own] if own >= 0 else [i for child in trie.children[node] for i in self._below[child]]
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, scores: Tensor, node: int) -> Tensor:
        """(n, m) -> (n, c)."""
        columns, child = self._parts(node)
        own, group = scores[:, columns], child.expand(len(scores), -1)
        start = scores.new_full((len(scores), len(self._trie.children[node])), float("-inf"))
        largest = start.scatter_reduce(1, group, own.detach(), "amax")
        return largest + torch.zeros_like(start).scatter_add(1, group, (own - largest.gather(1, group)).exp()).log()

    def _parts(self, node: int) -> tuple[Tensor, Tensor]:
        """The items below a node, and which child each is below."""
        if node not in self._known:
            children = self._trie.children[node]
            columns = [item for child in children for item in self._below[child]]
            group = [place for place, child in enumerate(children) for _ in self._below[child]]
            self._known[node] = (torch.tensor(columns), torch.tensor(group))
        return self._known[node]
