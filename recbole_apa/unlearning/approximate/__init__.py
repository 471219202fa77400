"""Approximate unlearning: a trained adapter is moved away from what it learnt from the forgotten samples.

Add your own method with :func:`register_approximate_method`.
"""

from recbole_apa.unlearning.approximate import methods as methods  # registers ours
from recbole_apa.unlearning.approximate.losses import Answers, nll, soft_cross_entropy
from recbole_apa.unlearning.approximate.method import (
    APPROXIMATE_METHODS,
    ApproximateMethod,
    LossMethod,
    register_approximate_method,
)
from recbole_apa.unlearning.approximate.unlearner import ApproximateUnlearner

__all__ = [
    "APPROXIMATE_METHODS",
    "Answers",
    "ApproximateMethod",
    "ApproximateUnlearner",
    "LossMethod",
    "nll",
    "register_approximate_method",
    "soft_cross_entropy",
]
