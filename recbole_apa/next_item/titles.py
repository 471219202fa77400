"""Titles or codes of a catalogue, written after a history by the language model: frozen, or with merged adapters."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.backbone.merged_layers import merged_layers
from recbole_apa.backbone.path_decoder import PathCache, PathDecoder, keeps_bits
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.catalogue import Catalogue
from recbole_apa.next_item.exit_map import through
from recbole_apa.next_item.generation import ItemCodes, NodeChances, Trie
from recbole_apa.next_item.generation.trie import ROOT
from recbole_apa.next_item.history_text import HistoryEncoder
from recbole_apa.next_item.identifiers import identifiers_of

_N_ROWS = 40
"""Nodes of the test whether bits are kept."""


class PromptReader:
    """The language model after one prompt: see :class:`~recbole_apa.next_item.generation.NodeReader`."""

    def __init__(self, decoder: PathDecoder, trie: Trie, cache: PathCache, exit_map: Tensor | None = None) -> None:
        self._decoder, self._trie, self._cache, self._map = decoder, trie, cache, exit_map
        self._cache.states[ROOT] = self._cache.root
        if self._cache.early_root is not None:
            self._cache.early_states[ROOT] = self._cache.early_root

    def fresh(self) -> "PromptReader":
        """See the protocol."""
        return PromptReader(self._decoder, self._trie, self._cache.fresh(), self._map)

    def early(self, decoder: PathDecoder, n_layers: int, exit_map: Tensor) -> "PromptReader":
        """After the same prompt, what an early exit says.

        Args:
            decoder: of the first ``n_layers``.
            exit_map: (d, d + 1).
        """
        return PromptReader(decoder, self._trie, self._cache.early(n_layers), exit_map)

    def states(self, nodes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Of nodes that were read: below the last layers (``n_early`` of the decoder; zeros where there is no layer
        below them) and above all, (n, d) each."""
        final = torch.stack([self._cache.states[node] for node in nodes])
        if self._cache.early_root is None:
            return torch.zeros_like(final), final
        return torch.stack([self._cache.early_states[node] for node in nodes]), final

    def has(self, node: int) -> bool:
        """See the protocol."""
        return node in self._cache.states

    def read(self, nodes: Sequence[int]) -> None:
        """See the protocol."""
        paths = {node: self._trie.path(node) for node in nodes}
        with one_thread():
            self._decoder.read(self._cache, nodes, [self._trie.tokens[node] for node in nodes], paths)

    def logits(self, node: int, tokens: Sequence[int]) -> Tensor:
        """See the protocol."""
        with one_thread():
            state = self._cache.states[node]
            return self._decoder.logits(state if self._map is None else through(self._map, state), tokens)


@dataclass(frozen=True)
class EarlyExit:
    """A guess at what a model says, from the state below its last layers."""

    n_layers: int
    """After so many layers, at least 1."""
    exit_map: Tensor
    """(d, d + 1), float32."""


class TitleModel:
    """Scores a catalogue's titles after a history, or its codes, with the frozen language model.

    Args:
        codes: None writes titles.

    Raises:
        BackboneError: the backbone is not of the Llama kind.
        SettingsError: its tokenizer has too few tokens to write codes with.
        ValueError: titles cannot be told apart.
    """

    def __init__(
        self, decoder: SplitDecoder, encoder: HistoryEncoder, catalogue: Catalogue, codes: ItemCodes | None = None
    ) -> None:
        self.identifiers = identifiers_of(catalogue, encoder, codes)
        self.trie = self.identifiers.trie
        self._encoder, self._plain = encoder, decoder
        self._decoder = PathDecoder(decoder, self.trie.depth)
        self._early: tuple[EarlyExit, PathDecoder] | None = None
        self._texts = catalogue.texts[:3]
        self._decoder.check(encoder.encode(self._texts).ids)

    def keeps_bits(self) -> bool:
        """Whether on this machine a node's logits depend on nothing but its prompt and path, in every bit: then a
        search with drafts returns the list of the same search without them."""
        ids = self._encoder.encode(self._texts).ids
        with one_thread():
            return keeps_bits(self._decoder, ids, (ids * _N_ROWS)[:_N_ROWS])

    def merged(self, changes: Mapping[str, Tensor], early: EarlyExit | None = None) -> "TitleModel":
        """The same identifiers, written with other weights; the backbone itself does not change.

        Args:
            changes: layer -> what is added to its weight (:func:`~recbole_apa.adapters.merging.merged_changes`).
            early: an exit of that model, for :meth:`after_with_exit`.

        Raises:
            BackboneError: the backbone does not have these layers.
        """
        out, depth = copy.copy(self), self.trie.depth
        layers = merged_layers(self._plain, changes)
        out._decoder = PathDecoder(self._plain, depth, layers, early.n_layers if early else 0)
        out._early = None if early is None else (early, PathDecoder(self._plain, depth, layers[: early.n_layers]))
        return out

    def after(self, columns: Sequence[int]) -> NodeChances:
        """What the language model says after a history, read from now on.

        Args:
            columns: of the items, oldest first.
        """
        return NodeChances(self.trie, self._reader(columns))

    def after_with_exit(self, columns: Sequence[int]) -> tuple[NodeChances, NodeChances]:
        """As :meth:`after`, and what the early exit guesses; the prompt is read once.

        Raises:
            ValueError: the model has no early exit.
        """
        if self._early is None:
            raise ValueError("this model has no early exit; expected one that was merged with it")
        reader, (early, decoder) = self._reader(columns), self._early
        return NodeChances(self.trie, reader), NodeChances(
            self.trie, reader.early(decoder, early.n_layers, early.exit_map)
        )

    def _reader(self, columns: Sequence[int]) -> PromptReader:
        history = self._encoder.encode_lines(self.identifiers.lines_of(columns))
        with one_thread():
            cache = self._decoder.start(history.ids)
        return PromptReader(self._decoder, self.trie, cache)
