"""LLMEraser: a single influence step, by :mod:`~recbole_apa.unlearning.approximate.newton`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from logging import getLogger

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from recbole_apa.adapters.training import ShardHistory
from recbole_apa.unlearning.approximate.method import ApproximateMethod, register_approximate_method
from recbole_apa.unlearning.approximate.newton import hessian_product, solve_damped
from recbole_apa.unlearning.approximate.unlearner import ApproximateUnlearner

MOST_DAMPING = 1e4


@register_approximate_method
@dataclass(frozen=True)
class LLMEraser(ApproximateMethod):
    """theta + (H + damping I)^-1 sum over forgotten samples of grad l, over N; minimises no loss."""

    name = "LLMEraser"
    damping: float = 0.1
    """lambda; multiplied by ten, repeatedly, while the damped Hessian is not positive."""
    newton_steps: int = 10
    """Maximum number of conjugate gradient steps."""
    retain_per_forget: int = 3
    """Retained samples per forgotten one from which the curvature is computed."""

    def move(self, student: ApproximateUnlearner) -> ShardHistory:
        """See :class:`~recbole_apa.unlearning.approximate.method.ApproximateMethod`."""
        forget, retain = student.parts["forget"], student.parts["retain"]
        chosen = student.some_retained(self.retain_per_forget)
        n = len(forget) + len(retain)
        with student.trained() as parameters:

            def gradient(loss: Tensor) -> Sequence[Tensor]:
                return torch.autograd.grad(loss, parameters)

            b = [g * len(forget) / n for g in student.mean(gradient, "forget", range(len(forget)))]

            def product(v: list[Tensor]) -> list[Tensor]:
                return student.mean(lambda loss: hessian_product(loss, parameters, v), "retain", chosen)

            # fast attention kernels can only be differentiated once
            with sdpa_kernel(SDPBackend.MATH):
                step = self._solve(product, b)
        with torch.no_grad():
            for parameter, part in zip(parameters, step, strict=True):
                parameter.add_(part)
        return ShardHistory()

    def _solve(self, product: Callable[[list[Tensor]], list[Tensor]], b: list[Tensor]) -> list[Tensor]:
        damping = self.damping
        while True:
            step, positive = solve_damped(product, b, damping, self.newton_steps, 1e-3)
            if positive or damping >= MOST_DAMPING:
                return step
            damping *= 10
            getLogger().info(f"{self.name}: the Hessian is not positive; damping {damping:g}")
