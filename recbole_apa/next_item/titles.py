"""Titles of a catalogue, written by the language model after a history: frozen, or with a user's merged adapters."""

import copy
from collections.abc import Mapping, Sequence

from torch import Tensor

from recbole_apa.backbone.merged_layers import merged_layers
from recbole_apa.backbone.path_decoder import PathCache, PathDecoder, keeps_bits
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.catalogue import Catalogue
from recbole_apa.next_item.generation import NodeChances, Trie, title_tokens
from recbole_apa.next_item.generation.trie import ROOT
from recbole_apa.next_item.history_text import HistoryEncoder

_N_ROWS = 40
"""Nodes of the test whether bits are kept."""


class PromptReader:
    """The language model after one prompt: see :class:`~recbole_apa.next_item.generation.NodeReader`."""

    def __init__(self, decoder: PathDecoder, trie: Trie, cache: PathCache) -> None:
        self._decoder, self._trie, self._cache = decoder, trie, cache
        self._cache.states[ROOT] = self._cache.root

    def fresh(self) -> "PromptReader":
        """See the protocol."""
        return PromptReader(self._decoder, self._trie, self._cache.fresh())

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
            return self._decoder.logits(self._cache.states[node], tokens)


class TitleModel:
    """Scores a catalogue's titles after a history, with the frozen language model.

    Raises:
        BackboneError: the backbone is not of the Llama kind.
        ValueError: titles cannot be told apart.
    """

    def __init__(self, decoder: SplitDecoder, encoder: HistoryEncoder, catalogue: Catalogue) -> None:
        self.trie = Trie.of(title_tokens(catalogue.texts, catalogue.items, encoder.line))
        self._encoder, self._plain = encoder, decoder
        self._decoder = PathDecoder(decoder, self.trie.depth)
        self._texts = catalogue.texts[:3]
        self._decoder.check(encoder.encode(self._texts).ids)

    def keeps_bits(self) -> bool:
        """Whether on this machine a node's logits depend on nothing but its prompt and path, in every bit: then a
        search with drafts returns the list of the same search without them."""
        ids = self._encoder.encode(self._texts).ids
        with one_thread():
            return keeps_bits(self._decoder, ids, (ids * _N_ROWS)[:_N_ROWS])

    def merged(self, changes: Mapping[str, Tensor]) -> "TitleModel":
        """The same titles, written with other weights; the backbone itself does not change.

        Args:
            changes: layer -> what is added to its weight (:func:`~recbole_apa.adapters.merging.merged_changes`).

        Raises:
            BackboneError: the backbone does not have these layers.
        """
        out = copy.copy(self)
        out._decoder = PathDecoder(self._plain, self.trie.depth, merged_layers(self._plain, changes))
        return out

    def after(self, texts: Sequence[str]) -> NodeChances:
        """What the language model says after a history, read from now on.

        Args:
            texts: of the items, oldest first.
        """
        with one_thread():
            cache = self._decoder.start(self._encoder.encode(texts).ids)
        return NodeChances(self.trie, PromptReader(self._decoder, self.trie, cache))
