"""One influence step on an adapter (LLMEraser; Ding et al., ICLR 2025): theta' = theta + (H + damping I)^-1 b.

H is the Gauss-Newton matrix. A sample's loss depends on its two logits through their margin m = z_yes - z_no alone, so
that H = sum of c g g^T with g = grad m and c = p (1 - p) times the sample's share. It is positive by construction, has
at most as many directions as samples, and equals the Hessian where m is linear in theta.

Shapes: n samples, p parameters.
"""

import torch
from torch import Tensor

COLUMNS_AT_ONCE = 1 << 16
"""Columns of the gradients that are converted to float64 together."""


def influence_step(gradients: Tensor, curvature: Tensor, pull: Tensor, damping: float) -> Tensor:
    """(H + damping I)^-1 b for H = G^T diag(c) G and b = G^T t, in float64: (p,).

    It equals G^T (diag(c) G G^T + damping I)^-1 t: an n by n system among the samples instead of a p by p one.

    Args:
        gradients: G, each sample's gradient of the margin, (n, p).
        curvature: c, not negative; 0 for samples that are only in b, (n,).
        pull: t, how much each sample's gradient is in b, (n,).
        damping: above 0.
    """
    gram = torch.zeros(len(gradients), len(gradients), dtype=torch.float64)
    for columns in gradients.split(COLUMNS_AT_ONCE, dim=1):
        wide = columns.double()
        gram += wide @ wide.T
    system = curvature.double()[:, None] * gram + damping * torch.eye(len(gradients), dtype=torch.float64)
    shares = torch.linalg.solve(system, pull.double())
    return torch.cat([shares @ columns.double() for columns in gradients.split(COLUMNS_AT_ONCE, dim=1)])
