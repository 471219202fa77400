"""Codes of items by residual k-means on vectors of their public texts: no user has a part in them.

A level divides what the levels before have left over: each item's vector without the centre of its cluster. Vectors and
centres are whole numbers, so that every product, sum and distance is one as well, below 2^53: exact in any order and on
any number of threads.

Shapes: m items, d numbers of a vector, k clusters, l levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from recbole_apa.core.seeding import derive_seed, digest_over

ROUNDS = 50
"""The most rounds of a level; it ends earlier if no centre moves."""
_BITS = 62
"""Of sums of weights that the next centre is drawn by."""


@dataclass(frozen=True)
class ItemCodes:
    """Of public texts alone: forgetting a user moves none of them."""

    numbers: Tensor
    """The cluster of each item of the catalogue at each level, (m, l), int64."""
    size: int
    """k: clusters of a level are below it."""

    @property
    def digest(self) -> str:
        """SHA-256 over all codes."""
        return digest_over(("item codes", self.size, *self.numbers.flatten().tolist())).hex()


def residual_codes(vectors: Tensor, n_levels: int, size: int, seed: int) -> Tensor:
    """The cluster of each item at each level, (m, l), int64. Items may share all of them.

    Source: residual quantisation as in TIGER (Rajput et al., NeurIPS'23), with k-means in place of a trained RQ-VAE.

    Args:
        vectors: whole numbers of at most 2^12, (m, d), in order of the items' tokens, which decides between clusters
            that are as near.
        size: k, the most clusters of a level; fewer where vectors are the same.
    """
    left, codes = vectors.double(), []
    for level in range(n_levels):
        centres = whole_kmeans(left, size, Random(derive_seed(seed, "item codes", level)))
        codes.append(nearest(left, centres))
        left = left - centres[codes[-1]]
    return torch.stack(codes, 1)


def whole_kmeans(points: Tensor, size: int, draw: Random) -> Tensor:
    """Lloyd's rounds from centres drawn by k-means++: (m, d), whole numbers in float64 -> (k, d), likewise.

    A centre is the mean of its cluster, rounded; one without a cluster stays.
    """
    centres = _first_centres(points, size, draw)
    for _ in range(ROUNDS):
        own = nearest(points, centres)
        sums = torch.zeros_like(centres).index_add_(0, own, points)
        n = torch.bincount(own, minlength=len(centres))[:, None]
        moved = torch.where(n > 0, (sums / n.clamp(min=1)).round(), centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def nearest(points: Tensor, centres: Tensor) -> Tensor:
    """The number of the nearest centre, the first of several as near: (m, d), (k, d) -> (m,), int64."""
    apart = (centres * centres).sum(1) - 2 * (points @ centres.T)  # the distance, less what all centres share
    return torch.from_numpy(apart.numpy().argmin(1))  # numpy's takes the first; torch does not say which


def _first_centres(points: Tensor, size: int, draw: Random) -> Tensor:
    """Points drawn in proportion to their squared distance from those drawn before; all different."""
    rows = [draw.randrange(len(points))]
    apart = _squared(points, rows[0])
    while len(rows) < size:
        most = int(apart.max()).bit_length() + len(points).bit_length()
        weights = (apart >> max(0, most - _BITS)).cumsum(0)
        total = int(weights[-1])
        if not total:
            break
        drawn = torch.tensor(draw.randrange(total))
        rows.append(int(torch.searchsorted(weights, drawn, right=True)))
        apart = torch.minimum(apart, _squared(points, rows[-1]))
    return points[rows]


def _squared(points: Tensor, row: int) -> Tensor:
    """From each point to one of them, (m,), int64."""
    return ((points - points[row]) ** 2).sum(1).long()


def code_tokens(codes: Sequence[Sequence[int]], size: int, alphabet: Sequence[int]) -> list[tuple[int, ...]]:
    """How codes are written: one token a level. Items that share a code get one level more, their number among those
    items; where more than k share one, it takes several tokens.

    Args:
        codes: (m, l), below ``size``; items in order of their tokens.
        alphabet: at least (l + 1) k different tokens: a level has k of its own.
    """
    n_levels = len(codes[0])
    sharing: dict[tuple[int, ...], int] = {}
    numbers = []
    for code in map(tuple, codes):
        numbers.append(sharing.get(code, 0))
        sharing[code] = numbers[-1] + 1
    last = alphabet[n_levels * size : (n_levels + 1) * size]
    out = []
    for code, number in zip(map(tuple, codes), numbers, strict=True):
        written = [alphabet[level * size + own] for level, own in enumerate(code)]
        out.append((*written, *_digits(number, sharing[code], last)))
    return out


def _digits(number: int, n: int, tokens: Sequence[int]) -> list[int]:
    """A number below n, in as many tokens as n - 1 takes; none where n is 1."""
    out, most = [], n - 1
    while most:
        out.append(tokens[number % len(tokens)])
        number, most = number // len(tokens), most // len(tokens)
    return out[::-1]
