"""BLPA: label propagation with bounded communities and waiting lists (GraphEraser, Chen et al., CCS'22)."""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence

from recbole_apa.core.seeding import digest_of, hash_order


def balanced_label_propagation(
    nodes: Sequence[str], edges: Iterable[tuple[str, str]], n_shards: int, capacity: int, iterations: int, seed: int
) -> dict[str, int]:
    """Node -> community, at most ``capacity`` nodes in each.

    Communities start equal in size, assigned by hash. In each round every node wishes to join the community of most of
    its neighbours; nodes move in order of how many neighbours that is. A node waits for a full community until another
    node leaves it. A node without neighbours stays where it is. Ends when a round moves nothing. As published, wishes
    are made before a round's first move, so two halves may keep swapping sides until the last iteration.
    """
    neighbours: dict[str, list[str]] = {node: [] for node in nodes}
    for a, b in edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    community = {nodes[i]: place % n_shards for place, i in enumerate(hash_order(nodes, seed, "communities"))}
    for round_ in range(iterations):
        wishes = [(node, *_wish(neighbours[node], community, seed, round_, node)) for node in nodes if neighbours[node]]
        wishes.sort(key=lambda w: (-w[2], digest_of(seed, "walk", round_, w[0])))
        if not _move(community, wishes, n_shards, capacity):
            break
    return community


def _wish(around: Sequence[str], community: Mapping[str, int], seed: int, round_: int, node: str) -> tuple[int, int]:
    """The community of most neighbours (ties by hash, the node's own first), and their number."""
    counts = Counter(community[other] for other in around)
    most = max(counts.values())
    best = sorted(k for k, n in counts.items() if n == most)
    if community[node] in best:
        return community[node], most
    return best[int.from_bytes(digest_of(seed, "tie", round_, node)[:4], "big") % len(best)], most


def _move(community: dict[str, int], wishes: Sequence[tuple[str, int, int]], n_shards: int, capacity: int) -> int:
    """One round of moves, in place; returns how many nodes moved."""
    load = Counter(community.values())
    waiting: dict[int, deque[str]] = {k: deque() for k in range(n_shards)}
    moved = 0
    for node, wanted, _ in wishes:
        if wanted == community[node]:
            continue
        if load[wanted] >= capacity:
            waiting[wanted].append(node)
            continue
        free: str | None = node
        target = wanted
        while free is not None:  # each move frees a place, which the first node waiting for it takes
            left = community[free]
            load[left] -= 1
            load[target] += 1
            community[free] = target
            moved += 1
            target, free = left, waiting[left].popleft() if waiting[left] else None
    return moved
