"""LLMEraser (Ding et al., ICLR 2025): one influence step on the adapter, theta' = theta + H^-1 sum_f grad l / N.

Shapes: p parameters.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def hessian_product(loss: Tensor, parameters: Sequence[nn.Parameter], v: Sequence[Tensor]) -> list[Tensor]:
    """H v of a loss, by differentiating twice; shaped like the parameters."""
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    inner = torch.stack([(g * x).sum() for g, x in zip(gradients, v, strict=True)]).sum()
    found = torch.autograd.grad(inner, parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g.detach() for p, g in zip(parameters, found, strict=True)]


def solve_damped(
    product: Callable[[list[Tensor]], list[Tensor]],
    b: Sequence[Tensor],
    damping: float,
    max_steps: int,
    tolerance: float,
) -> tuple[list[Tensor], bool]:
    """(H + damping I)^-1 b by conjugate gradients, and whether H + damping I was positive along every direction.

    If it was not (a network's Hessian need not be), the solution so far is returned, which is zero at the first step.

    Args:
        product: v -> H v.
        tolerance: for the residual's norm, as a share of b's.
    """
    x = [torch.zeros_like(part) for part in b]
    residual = [part.clone() for part in b]
    direction = [part.clone() for part in b]
    size = _dot(residual, residual)
    enough = tolerance**2 * size
    for _ in range(max_steps):
        if size <= enough:
            break
        moved = [h + damping * d for h, d in zip(product(direction), direction, strict=True)]
        curvature = _dot(direction, moved)
        if curvature <= 0:
            return x, False
        length = size / curvature
        x = [part + length * d for part, d in zip(x, direction, strict=True)]
        residual = [part - length * m for part, m in zip(residual, moved, strict=True)]
        before, size = size, _dot(residual, residual)
        direction = [part + size / before * d for part, d in zip(residual, direction, strict=True)]
    return x, True


def _dot(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return float(sum((a * b).sum() for a, b in zip(one, other, strict=True)))
