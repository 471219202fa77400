"""Heads and counts in one score: a conditional logit over the catalogue, fitted on validation rows."""

from dataclasses import dataclass

import torch
from torch import Tensor

from recbole_apa.core.system.threads import one_thread

PENALTY = 1.0
"""Of the squared coefficients; terms are scaled to comparable size first."""
_MOST_STEPS, _SMALL = 50, 1e-10


@dataclass(frozen=True)
class Fusion:
    """The chance of item j is proportional to exp(sum over terms of coefficient times term j), over the items that the
    user does not have yet."""

    scales: tuple[float, ...]
    """What each term is divided by, (t,)."""
    coefficients: tuple[float, ...]
    """(t,)."""
    log_loss: float
    """Mean -log(chance) of the validation targets."""

    def __call__(self, terms: Tensor) -> Tensor:
        """(t, b, m) -> scores (b, m), float64."""
        parts = self.parts(terms)
        out = parts[0]
        for part in parts[1:]:
            out = out + part
        return out

    def parts(self, terms: Tensor) -> Tensor:
        """What each term adds to the score: (t, b, m) -> (t, b, m)."""
        per_unit = torch.tensor(self.coefficients, dtype=torch.float64) / torch.tensor(self.scales, dtype=torch.float64)
        return terms * per_unit[:, None, None]


def fit_fusion(terms: Tensor, allowed: Tensor, targets: Tensor) -> Fusion:
    """Newton's method on the log loss of the targets plus :data:`PENALTY`, from zero, in float64 on one thread.

    Args:
        terms: of validation rows, (t, v, m).
        allowed: items that the user does not have, bool, (v, m); a target is always one of them.
        targets: columns, (v,).
    """
    with one_thread():
        return _fit(terms, allowed, targets)


def _fit(terms: Tensor, allowed: Tensor, targets: Tensor) -> Fusion:
    n_terms, n_rows = len(terms), len(targets)
    if not n_rows:
        return Fusion((1.0,) * n_terms, (1.0,) + (0.0,) * (n_terms - 1), float("nan"))
    scales = tuple(_spread(term) for term in terms)
    scaled = torch.stack([term / scale for term, scale in zip(terms, scales, strict=True)])
    at, loss = torch.zeros(n_terms, dtype=torch.float64), float("inf")
    for _ in range(_MOST_STEPS):
        value, gradient, hessian = _derivatives(scaled, allowed, targets, at)
        step = torch.linalg.solve(hessian, gradient)
        size = 1.0
        while size > _SMALL and _loss(scaled, allowed, targets, at - size * step) > value:
            size /= 2
        at = at - size * step
        if loss - value < _SMALL * n_rows and size == 1.0:
            break
        loss = value
    plain = (_loss(scaled, allowed, targets, at) - PENALTY * float(at @ at) / 2) / n_rows
    return Fusion(scales, tuple(at.tolist()), plain)


def _spread(term: Tensor) -> float:
    """The standard deviation within a row, averaged; 1 for a term that is the same everywhere."""
    spread = float(term.std(1).mean())
    return spread if spread > 0 else 1.0


def _log_chances(scaled: Tensor, allowed: Tensor, at: Tensor) -> Tensor:
    scores = torch.einsum("t,tvm->vm", at, scaled).masked_fill(~allowed, float("-inf"))
    return torch.log_softmax(scores, 1)


def _loss(scaled: Tensor, allowed: Tensor, targets: Tensor, at: Tensor) -> float:
    picked = _log_chances(scaled, allowed, at).gather(1, targets[:, None])
    return float(-picked.sum() + PENALTY * (at @ at) / 2)


def _derivatives(scaled: Tensor, allowed: Tensor, targets: Tensor, at: Tensor) -> tuple[float, Tensor, Tensor]:
    log_chances = _log_chances(scaled, allowed, at)
    chances = log_chances.exp()
    means = torch.einsum("vm,tvm->vt", chances, scaled)  # (v, t)
    own = scaled[:, torch.arange(len(targets)), targets].T  # (v, t)
    value = float(-log_chances.gather(1, targets[:, None]).sum() + PENALTY * (at @ at) / 2)
    gradient = (means - own).sum(0) + PENALTY * at
    second = torch.einsum("vm,tvm,svm->ts", chances, scaled, scaled) - means.T @ means
    return value, gradient, second + PENALTY * torch.eye(len(at), dtype=torch.float64)
