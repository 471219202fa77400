"""Items as titles or codes that a language model writes: a trie, searches over it, drafts that let a search look ahead.

Pure torch; it may not know RecBole, transformers or files.

A search asks for the logits of nodes and adds up what they say. Whatever was asked for ahead of time, and in whatever
company, a node's logits are the same: so a search with drafts returns the list of the same search without them. Where
beams are drawn instead, an exact rule keeps their distribution, and AtSpeed's relaxed one does not.
"""

from recbole_apa.next_item.generation.drafts import BeamDraft, Draft, Guess, HeadGuess
from recbole_apa.next_item.generation.identifiers import Identifiers, coded
from recbole_apa.next_item.generation.node_chances import NodeChances, NodeReader
from recbole_apa.next_item.generation.residual_kmeans import ItemCodes, code_tokens, residual_codes
from recbole_apa.next_item.generation.sampled import SampledDraft, sampled_beams
from recbole_apa.next_item.generation.search import Found, beam_search, best_first, rank_all
from recbole_apa.next_item.generation.trie import Trie, title_tokens
from recbole_apa.next_item.generation.verification import Rule, draws, exact_rejection, relaxed

__all__ = [
    "BeamDraft",
    "Draft",
    "Found",
    "Guess",
    "HeadGuess",
    "Identifiers",
    "ItemCodes",
    "NodeChances",
    "NodeReader",
    "Rule",
    "SampledDraft",
    "Trie",
    "beam_search",
    "best_first",
    "code_tokens",
    "coded",
    "draws",
    "exact_rejection",
    "rank_all",
    "relaxed",
    "residual_codes",
    "sampled_beams",
    "title_tokens",
]
