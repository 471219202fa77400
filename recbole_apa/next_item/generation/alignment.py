"""What a draft is trained for: to say of a node's children what its teacher says.

The objectives that AtSpeed (arXiv 2410.05165) proposes and compares, as its release has them (``code/model.py`` at
93bc886), over a node's children instead of a masked vocabulary: chances sum to 1 over what may be written at all. Where
release and description differ the docstring says so.

q is the draft's distribution over the children, p the teacher's. Shapes: n rows, of one node, c children.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

ALPHA = 0.7
"""Share of the alignment in the loss; the rest is the cross-entropy of what users chose (the release's ``ALPHA``)."""


def top_k_alignment(draft: Tensor, teacher: Tensor, k: int) -> Tensor:
    """AtSpeed-S: sum over T of q log(q / p), minus p_(k) times the sum over T of q log q; (n,), in nats.

    T are the draft's k likeliest children, p_(k) is the teacher's k-th largest chance; of fewer children than k all
    count. The first term is the reverse KL divergence, cut off at T and not renormalised: below 0 where the draft has
    little in T. The second is the density regulariser. The release's ``loss_strict`` takes the teacher's chance *of the
    draft's k-th child* for p_(k), and with ``constrained_softmax`` a softmax of chances.

    Args:
        draft, teacher: logits, (n, c).
        k: the beams whose candidates the draft has to contain.
    """
    q, p = torch.log_softmax(draft, 1), torch.log_softmax(teacher, 1)
    k = min(k, q.shape[1])
    of_draft, children = q.topk(k, 1)
    of_teacher, least = p.gather(1, children), p.topk(k, 1).values[:, -1]
    divergence = (of_draft.exp() * (of_draft - of_teacher)).sum(1)
    return divergence - least.exp() * (of_draft.exp() * of_draft).sum(1)


def total_variation(draft: Tensor, teacher: Tensor) -> Tensor:
    """AtSpeed-R, TVD: half the sum of |q - p|; (n,), from 0 to 1. It is the chance that a rejection test refuses what
    the draft has drawn.

    Args:
        draft, teacher: logits, (n, c); at temperature 1, where the release's script divides them by .001.
    """
    return 0.5 * (torch.softmax(draft, 1) - torch.softmax(teacher, 1)).abs().sum(1)


def word_divergence(draft: Tensor, teacher: Tensor) -> Tensor:
    """WordKD: the sum of p log(p / q); (n,), in nats.

    Args:
        draft, teacher: logits, (n, c).
    """
    q, p = torch.log_softmax(draft, 1), torch.log_softmax(teacher, 1)
    return (p.exp() * (p - q)).sum(1)


def sequence_loss(draft: Tensor, taken: Tensor) -> Tensor:
    """The cross-entropy of children that were taken; (n,), in nats. SeqKD, where the teacher's beams took them.

    Args:
        draft: logits, (n, c).
        taken: how often each child was taken from the row's state, (n, c); at least one in each row.
    """
    return -(taken * torch.log_softmax(draft, 1)).sum(1) / taken.sum(1)


@dataclass(frozen=True)
class Objective:
    """What of the teacher a draft is aligned with, and where."""

    on_beams: bool
    """At the nodes of the teacher's own beams; if not, where users made their choices."""
    loss: Callable[[Tensor, Tensor, Tensor, int], Tensor]
    """Draft's and teacher's logits, what was taken, (n, c) each, and k -> (n,)."""


OBJECTIVES: Mapping[str, Objective] = {
    "atspeed-s": Objective(True, lambda draft, teacher, taken, k: top_k_alignment(draft, teacher, k)),
    "atspeed-r": Objective(True, lambda draft, teacher, taken, k: total_variation(draft, teacher)),
    "word-kd": Objective(False, lambda draft, teacher, taken, k: word_divergence(draft, teacher)),
    "seq-kd": Objective(True, lambda draft, teacher, taken, k: sequence_loss(draft, taken)),
    "tvd": Objective(False, lambda draft, teacher, taken, k: total_variation(draft, teacher)),
}
"""By their names as options. TVD and AtSpeed-R have one formula, at other positions."""
