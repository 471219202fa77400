"""A decoder that continues one prompt along many paths at once, row by row: what it says of a token depends on the
prompt and on the tokens of its own path alone, not on which others are in the pass.

transformers' attention adds up over as many keys as the pass happens to have, so that the last bits of a row depend on
its company. Here the prompt runs alone; a row attends to the prompt by matrix products of fixed shapes and to its path
in slots by depth, of which there are always as many; and a pass has at least four rows, as products of fewer use other
kernels. Whether that keeps bits on a machine is tested (:func:`keeps_bits`), not assumed.

Shapes: t prompt tokens, r rows, s slots, d hidden size, h heads, g heads of keys and values, e size of a head.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.errors import BackboneError

FEWEST_ROWS = 4
MULTIPLE_OF = 16
"""The prompt's keys and the slots are filled up to multiples of it with keys that are masked: of other numbers, rows
begin at other alignments, and kernels then add up in another order."""
_PARTS = ("q_proj", "k_proj", "v_proj", "o_proj")
_OTHERS = ("q_norm", "k_norm", "qk_norm", "sliding_window")
_CLOSE, _CLOSE_IN_HALF = 1e-3, 0.05
"""How far, in relative terms, hidden states may be from transformers' in the check at the start: of float32, and of
types of 16 bits."""


@dataclass
class PathCache:
    """Keys and values after one prompt: the prompt's, and those of the nodes that were read."""

    keys: list[Tensor]
    """Of the prompt by layer, (g, t filled up, e), float32."""
    values: list[Tensor]
    root: Tensor
    """The state where the prompt ends, (d,), float32."""
    n_prompt: int
    node_keys: list[Tensor] = field(default_factory=list)
    """Of the nodes by layer, (nodes, g, e), float32."""
    node_values: list[Tensor] = field(default_factory=list)
    slot_of: dict[int, int] = field(default_factory=dict)
    """Node -> its row in ``node_keys``."""
    states: dict[int, Tensor] = field(default_factory=dict)
    """Node -> its final state, (d,), float32."""
    early_root: Tensor | None = None
    """The state where the prompt ends below the last layers, (d,), float32 (``n_early`` of :class:`PathDecoder`)."""
    early_states: dict[int, Tensor] = field(default_factory=dict)
    """Likewise of each node, (d,), float32."""

    def fresh(self) -> "PathCache":
        """After the same prompt, with no node read."""
        empty = [part[:0] for part in self.node_keys]
        return PathCache(
            self.keys, self.values, self.root, self.n_prompt, list(empty), list(empty), early_root=self.early_root
        )

    def early(self, n_layers: int) -> "PathCache":
        """The first layers alone, after the same prompt, which they do not read again."""
        assert self.early_root is not None
        empty = [part[:0] for part in self.node_keys[:n_layers]]
        keys, values = self.keys[:n_layers], self.values[:n_layers]
        return PathCache(keys, values, self.early_root, self.n_prompt, list(empty), list(empty))


class PathDecoder:
    """Runs the layers of a decoder of the Llama kind.

    Args:
        n_slots: of the longest path.
        layers: instead of the decoder's own (:func:`~recbole_apa.backbone.merged_layers.merged_layers`); as many or
            fewer.
        n_early: after how many layers the states of a prompt's end and of nodes are kept for an early exit; 0 keeps
            none.

    Raises:
        BackboneError: the decoder is of another kind.
    """

    def __init__(
        self, decoder: SplitDecoder, n_slots: int, layers: Sequence[nn.Module] | None = None, n_early: int = 0
    ) -> None:
        self._decoder, self.n_slots, self._n_early = decoder, n_slots + -n_slots % MULTIPLE_OF, n_early
        self._layers: list[Any] = list(decoder.layers if layers is None else layers)
        self._rotary = getattr(decoder.decoder, "rotary_emb", None)
        attention: Any = getattr(self._layers[0], "self_attn", None)
        if self._rotary is None or any(not hasattr(attention, name) for name in _PARTS):
            raise BackboneError("titles need a backbone of the Llama kind (rotary positions; q, k, v, o projections)")
        if any(getattr(attention, name, None) is not None for name in _OTHERS):
            raise BackboneError(f"titles need plain attention; this backbone's has one of {', '.join(_OTHERS)}")
        self._e = int(attention.head_dim)
        self._g = attention.k_proj.out_features // self._e
        self._scale = float(attention.scaling)

    @torch.no_grad()
    def start(self, ids: Sequence[int]) -> PathCache:
        """Read a prompt, alone."""
        x = self._decoder.embed(ids)
        rotary = self._rotated(x, torch.arange(len(ids)))
        keys, values, early = [], [], None
        for number, layer in enumerate(self._layers, start=1):
            q, k, v = self._projected(layer, x, rotary)
            keys.append(k.transpose(0, 1).contiguous())
            values.append(v.transpose(0, 1).contiguous())
            shared = q.shape[1] // self._g
            attended = F.scaled_dot_product_attention(
                q.transpose(0, 1)[None],
                keys[-1].repeat_interleave(shared, 0)[None],
                values[-1].repeat_interleave(shared, 0)[None],
                is_causal=True,
                scale=self._scale,
            )[0]
            x = self._finished(layer, x, attended.transpose(0, 1))
            early = self._normed(x)[-1].float() if number == self._n_early else early
        empty = [torch.empty(0, self._g, self._e) for _ in self._layers]
        root = self._normed(x)[-1].float()
        filled = (0, 0, 0, -len(ids) % MULTIPLE_OF)
        keys, values = ([F.pad(part, filled) for part in parts] for parts in (keys, values))
        return PathCache(keys, values, root, len(ids), list(empty), list(empty), early_root=early)

    @torch.no_grad()
    def read(
        self, cache: PathCache, nodes: Sequence[int], tokens: Sequence[int], paths: Mapping[int, list[int]]
    ) -> None:
        """Read nodes into a cache, in one pass.

        Args:
            nodes: (r,), none in the cache; a parent stands before its children, or is in the cache.
            tokens: of the nodes, (r,).
            paths: node -> the nodes from the prompt's end to it, itself included; at most s.
        """
        for node in nodes:
            cache.slot_of[node] = len(cache.slot_of)
        rows = [*nodes, *[nodes[0]] * (FEWEST_ROWS - len(nodes))]
        slots = torch.tensor([self._slots(cache, paths[node]) for node in rows])  # (r, s)
        filled = torch.tensor([[i < len(paths[node]) for i in range(self.n_slots)] for node in rows])
        x = self._decoder.embed([*tokens, *[tokens[0]] * (len(rows) - len(nodes))])
        positions = torch.tensor([cache.n_prompt + len(paths[node]) - 1 for node in rows])
        rotary = self._rotated(x, positions)
        for number, layer in enumerate(self._layers):
            q, k, v = self._projected(layer, x, rotary)
            cache.node_keys[number] = torch.cat([cache.node_keys[number], k[: len(nodes)]])
            cache.node_values[number] = torch.cat([cache.node_values[number], v[: len(nodes)]])
            x = self._finished(layer, x, self._attended(cache, number, q, slots, filled))
            if number + 1 == self._n_early:
                cache.early_states |= dict(zip(nodes, self._normed(x).float(), strict=False))
        cache.states |= dict(zip(nodes, self._normed(x).float(), strict=False))

    def logits(self, state: Tensor, tokens: Sequence[int]) -> Tensor:
        """Of some tokens after a state: (d,) -> (len(tokens),), float32. Each is a sum of its own."""
        head = self._decoder.family.head(self._decoder.model)
        rows = head.weight[torch.tensor([*tokens, *[tokens[0]] * FEWEST_ROWS])].float()
        products = (rows * state).sum(1)
        if head.bias is not None:
            products = products + head.bias[torch.tensor([*tokens, *[tokens[0]] * FEWEST_ROWS])].float()
        return self._decoder.family.logit_scale(self._decoder.model)(products)[: len(tokens)]

    def check(self, ids: Sequence[int]) -> None:
        """Compare with transformers on a text.

        Raises:
            BackboneError: another result: the backbone scales something that this decoder does not know of.
        """
        theirs = self._decoder.upper(self._decoder.trunk([ids]))[0, -1].float()
        ours = self.start(ids).root
        apart = float((ours - theirs).norm() / theirs.norm())
        most = _CLOSE if self._decoder.embed(ids[:1]).dtype == torch.float32 else _CLOSE_IN_HALF
        if not apart <= most:
            raise BackboneError(
                f"titles: this backbone's states differ from transformers' by {apart:.2g} (at most {most} expected): "
                "it is not of the Llama kind"
            )

    def _slots(self, cache: PathCache, path: Sequence[int]) -> list[int]:
        own = [cache.slot_of[node] for node in path]
        return own + [own[-1]] * (self.n_slots - len(own))

    def _rotated(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        assert self._rotary is not None
        cos, sin = self._rotary(x[None], positions[None])
        return cos[0].float(), sin[0].float()

    def _projected(self, layer: Any, x: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(r, d) -> queries (r, h, e), keys (r, g, e), values (r, g, e), float32."""
        normed = layer.input_layernorm(x)
        attention = layer.self_attn
        q, k, v = (
            project(normed).view(len(x), -1, self._e).float()
            for project in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        return _turned(q, rotary), _turned(k, rotary), v

    def _attended(self, cache: PathCache, layer: int, q: Tensor, slots: Tensor, filled: Tensor) -> Tensor:
        """(r, h, e) -> (r, h, e)."""
        r, shared = len(q), q.shape[1] // self._g
        own_keys, own_values = cache.node_keys[layer][slots], cache.node_values[layer][slots]  # (r, s, g, e)
        groups = []
        for g in range(self._g):
            mine = q[:, g * shared : (g + 1) * shared]  # (r, shared, e)
            to_prompt = F.linear(mine.reshape(r * shared, -1), cache.keys[layer][g]).view(r, shared, -1)
            to_prompt[..., cache.n_prompt :] = float("-inf")
            to_path = (mine[:, :, None] * own_keys[:, None, :, g]).sum(-1)  # (r, shared, s)
            to_path = to_path.masked_fill(~filled[:, None], float("-inf"))
            weights = torch.softmax(torch.cat([to_prompt, to_path], 2) * self._scale, 2)
            prompt, path = (part.contiguous() for part in weights.split([to_prompt.shape[2], self.n_slots], 2))
            out = F.linear(prompt.reshape(r * shared, -1), cache.values[layer][g].T.contiguous()).view(r, shared, -1)
            groups.append(out + (path[..., None] * own_values[:, None, :, g]).sum(2))
        return torch.cat(groups, 1)

    def _finished(self, layer: Any, x: Tensor, attended: Tensor) -> Tensor:
        out = layer.self_attn.o_proj(attended.reshape(len(x), -1).to(x.dtype))
        x = x + out
        return x + layer.mlp(layer.post_attention_layernorm(x))

    def _normed(self, x: Tensor) -> Tensor:
        norm: Any = getattr(self._decoder.decoder, self._decoder.family.norm)
        out: Tensor = norm(x)
        return out


def _turned(x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions of Llama: (r, heads, e)."""
    cos, sin = rotary
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], -1)
    return x * cos[:, None] + turned * sin[:, None]


def keeps_bits(decoder: PathDecoder, prompt: Sequence[int], tokens: Sequence[int]) -> bool:
    """Whether a node has the same bits in passes of 1, 5 and all rows, and level by level or at once.

    Args:
        tokens: at least 8; nodes 1, 2, ... are a chain of the first three, and one sibling for each of the others.
    """
    chain = {1: [1], 2: [1, 2], 3: [1, 2, 3]}
    siblings = {node: [1, node] for node in range(4, len(tokens) + 1)}
    paths, found = {**chain, **siblings}, []
    nodes = list(paths)
    for passes in ([nodes], [[1], [2], [3], nodes[3:]], [nodes[:3], nodes[3:8], nodes[8:]], [[n] for n in nodes]):
        cache = decoder.start(prompt)
        for rows in passes:
            if rows:
                decoder.read(cache, rows, [tokens[node - 1] for node in rows], paths)
        found.append(torch.stack([decoder.logits(cache.states[node], tokens[:3]) for node in nodes]))
    return all(torch.equal(found[0], other) for other in found[1:])
