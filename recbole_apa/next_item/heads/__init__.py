"""Heads over the catalogue in closed form, from sums that users can be taken out of exactly.

It may not know RecBole, transformers or files.

Shapes: b users, n rows (a state and its target), m items of the catalogue, k shards, d hidden size; a state has d + 1
numbers, the last of them 1, for the intercept.
"""

from recbole_apa.next_item.heads.grid import StateGrid
from recbole_apa.next_item.heads.mixture import Heads, ShardWeights, choose_weights
from recbole_apa.next_item.heads.ridge import solve_head
from recbole_apa.next_item.heads.sums import HeadSums

__all__ = ["HeadSums", "Heads", "ShardWeights", "StateGrid", "choose_weights", "solve_head"]
