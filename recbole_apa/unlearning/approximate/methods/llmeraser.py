"""LLMEraser: a single influence step, by :mod:`~recbole_apa.unlearning.approximate.newton`."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.adapters.training import ShardHistory
from recbole_apa.unlearning.approximate.influence import sample_gradients
from recbole_apa.unlearning.approximate.method import ApproximateMethod, register_approximate_method
from recbole_apa.unlearning.approximate.newton import influence_step
from recbole_apa.unlearning.approximate.unlearner import ApproximateUnlearner


@register_approximate_method
@dataclass(frozen=True)
class LLMEraser(ApproximateMethod):
    """theta + (H + damping I)^-1 b; minimises no loss.

    b is the mean, over the N samples before the request, of the loss gradients of those that are forgotten, less those
    of the forms that rewritten samples have now. H is the mean curvature of the N samples, estimated from the forgotten
    ones and at most ``most_retained`` of the others; Gauss-Newton in place of the paper's Hessian, which need not be
    positive. The step is solved exactly; the released code takes 20 steps of Adam towards twice the solution.
    """

    name = "LLMEraser"
    damping: float = 0.01
    """lambda. Directions that no sample's answer depends on are divided by it."""
    most_retained: int = 256
    """Retained samples, drawn by hash, from which the curvature is estimated."""

    def move(self, student: ApproximateUnlearner) -> ShardHistory:
        """See :class:`~recbole_apa.unlearning.approximate.method.ApproximateMethod`."""
        forget, retain = student.parts["forget"], student.parts["retain"]
        gone = set(forget.ids)
        rewritten = [i for i, name in enumerate(retain.ids) if name in gone]
        others = [i for i in student.retained_order() if retain.ids[i] not in gone]
        chosen, n = others[: self.most_retained], len(forget) + len(others)
        # how much a sample counts in H, and in b
        parts = [
            self._rows(student, "forget", range(len(forget)), 1 / n, 1 / n),
            self._rows(student, "retain", rewritten, 0.0, -1 / n),
            self._rows(student, "retain", chosen, len(others) / max(1, len(chosen)) / n, 0.0),
        ]
        gradients, curvature, pull = (torch.cat(column) for column in zip(*parts, strict=True))
        student.shift(influence_step(gradients, curvature, pull, self.damping))
        return ShardHistory()

    @staticmethod
    def _rows(
        student: ApproximateUnlearner, part: str, rows: Sequence[int], in_curvature: float, in_pull: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The margins' gradients, (n, p), and each sample's entries in c and t, (n,)."""
        margins = torch.empty(len(rows), dtype=torch.float64)

        def margin(i: int) -> Tensor:
            found = student.margin(part, rows[i])
            margins[i] = found.detach()
            return found

        with student.differentiable() as parameters:
            gradients = sample_gradients(margin, len(rows), parameters)
        likes, labels = torch.sigmoid(margins), torch.from_numpy(student.parts[part].labels[list(rows)]).double()
        return gradients, in_curvature * likes * (1 - likes), in_pull * (likes - labels)
