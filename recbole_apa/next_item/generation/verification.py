"""Which of a drafted sample's nodes the target takes: exactly, or as AtSpeed relaxes it.

A step draws k candidates without replacement: the first by the target's chances p, each further one by the chances of
those that are left. A draft has drawn candidates by its own chances q, likewise. A rule turns them into draws for p.
All lists are parallel to the target's candidates.
"""

from collections.abc import Iterable, Sequence
from math import inf, log
from random import Random
from typing import Protocol


class Rule(Protocol):
    """A way to verify."""

    def __call__(
        self, p: Sequence[float], q: Sequence[float], drafted: Sequence[int], k: int, draw: Random
    ) -> list[int]:
        """k candidates in the order of their draws, or all that have a chance if there are fewer.

        Args:
            p: the target's chances, which sum to 1.
            q: the draft's; their sum may be below 1, as the draft may have candidates that the target does not.
            drafted: candidates that the draft has drawn, in the order of its draws.
        """
        ...


def draws(p: Sequence[float], k: int, draw: Random, without: Iterable[int] = ()) -> list[int]:
    """Plain sampling: k candidates without replacement, in order, by weights that need not sum to 1.

    The order of exponential clocks with these rates is that of successive draws.
    """
    out = set(without)
    clocks = [(-log(1 - draw.random()) / weight if weight > 0 else inf, i) for i, weight in enumerate(p)]
    ordered = sorted((time, i) for time, i in clocks if time < inf and i not in out)
    return [i for _, i in ordered[:k]]


def exact_rejection(p: Sequence[float], q: Sequence[float], drafted: Sequence[int], k: int, draw: Random) -> list[int]:
    """Recursive rejection: what comes out has the target's distribution, order included, whatever the draft.

    A drafted candidate x is taken with chance p(x) / q(x); after a refusal p becomes what q left of it,
    max(p - q, 0) over its sum. Either way x leaves q, because the next one was drawn without it. Once one is taken, p
    is the target's own again, without those that were taken.
    """
    chosen: list[int] = []
    left, proposal = list(drafted), _normed(q)
    while len(chosen) < k:
        wanted = _normed([0.0 if i in chosen else chance for i, chance in enumerate(p)])
        if not any(wanted):
            break
        taken = None
        while left and taken is None:
            x = left.pop(0)
            rest = [max(a - b, 0.0) for a, b in zip(wanted, proposal, strict=True)]
            if draw.random() * proposal[x] < wanted[x] or not any(rest):
                taken = x
            else:
                wanted = _normed(rest)
            proposal = _normed([0.0 if i == x else chance for i, chance in enumerate(proposal)])
        chosen += draws(wanted, 1, draw) if taken is None else [taken]
    return chosen


def relaxed(p: Sequence[float], q: Sequence[float], drafted: Sequence[int], k: int, draw: Random) -> list[int]:
    """AtSpeed's (arXiv 2410.05165), which is not exact: every drafted candidate is accepted by itself with chance
    min(1, p(x) / q(x)). If k are accepted, k of them are chosen, each as likely as any other; if fewer, the missing
    ones are drawn from max(p - q, 0).
    """
    accepted = [x for x in drafted if draw.random() * q[x] < p[x]]
    if len(accepted) >= k:
        return draw.sample(accepted, k)
    rest = [max(a - b, 0.0) for a, b in zip(p, q, strict=True)]
    accepted += draws(rest, k - len(accepted), draw, accepted)
    return accepted + draws(p, k - len(accepted), draw, accepted)  # where q covers p, nothing may be left of it


def _normed(weights: Sequence[float]) -> list[float]:
    """Over their sum; zeros if that is 0."""
    whole = sum(weights)
    return [weight / whole if whole > 0 else 0.0 for weight in weights]
