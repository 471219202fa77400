"""Items as titles that the language model writes: a trie, searches over it, and drafts that let a search look ahead.

Pure torch; it may not know RecBole, transformers or files.

A search asks for the logits of nodes and adds up what they say. Whatever was asked for ahead of time, and in whatever
company, a node's logits are the same: so a search with drafts returns the list of the same search without them.
"""

from recbole_apa.next_item.generation.drafts import Draft, HeadDraft
from recbole_apa.next_item.generation.node_chances import NodeChances, NodeReader
from recbole_apa.next_item.generation.search import Found, beam_search, best_first, rank_all
from recbole_apa.next_item.generation.trie import Trie, title_tokens

__all__ = [
    "Draft",
    "Found",
    "HeadDraft",
    "NodeChances",
    "NodeReader",
    "Trie",
    "beam_search",
    "best_first",
    "rank_all",
    "title_tokens",
]
