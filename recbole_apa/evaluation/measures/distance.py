"""How close the answers on forgotten samples are to those of a model trained without them.

Scores s are probabilities of a like, (n,); the distributions compared are (1 - s, s).
"""

import numpy as np
from scipy.special import rel_entr

from recbole_apa.evaluation.measures.answers import pairs
from recbole_apa.evaluation.measures.measure import ForgettingMeasure, Seen, register_measure


def js_divergence(one: np.ndarray, other: np.ndarray) -> float:
    """Mean Jensen-Shannon divergence over samples, natural logarithm: 0 to ln 2."""
    p, q = pairs(one), pairs(other)
    middle = (p + q) / 2
    return float((rel_entr(p, middle) + rel_entr(q, middle)).sum(1).mean() / 2)


def half_jeffreys(one: np.ndarray, other: np.ndarray) -> float:
    """Mean of (KL(P|Q) + KL(Q|P)) / 2: the value that E2URec's code prints as JSD; unbounded."""
    p, q = pairs(one), pairs(other)
    return float((rel_entr(p, q) + rel_entr(q, p)).sum(1).mean() / 2)


def activation_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean Euclidean distance between the distributions (E2URec's L2, Bad-T's activation distance)."""
    return float(np.linalg.norm(pairs(one) - pairs(other), axis=1).mean())


def local_residual(unlearned: np.ndarray, retrained: np.ndarray, original: np.ndarray) -> float | None:
    """mean |s_u - s_r| / mean |s_o - s_r|: 0 as retrained, 1 as if nothing was done, above 1 farther away than that.
    None if original and retrained scores are equal."""
    gap = np.abs(original - retrained).mean()
    return float(np.abs(unlearned - retrained).mean() / gap) if gap else None


@register_measure
class Divergence(ForgettingMeasure):
    """Jensen-Shannon divergence to the retrained model."""

    name, title = "js_divergence", "JSD to retraining"
    spread = True

    def __call__(self, seen: Seen) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ForgettingMeasure`."""
        return js_divergence(seen.after["forget"], seen.goal["forget"])


@register_measure
class HalfJeffreys(ForgettingMeasure):
    """The value that E2URec's code prints as JSD; only in the rows, not in the table."""

    name, title = "half_jeffreys", ""

    def __call__(self, seen: Seen) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ForgettingMeasure`."""
        return half_jeffreys(seen.after["forget"], seen.goal["forget"])


@register_measure
class ActivationDistance(ForgettingMeasure):
    """Euclidean distance to the retrained model."""

    name, title = "activation_distance", "L2"

    def __call__(self, seen: Seen) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ForgettingMeasure`."""
        return activation_distance(seen.after["forget"], seen.goal["forget"])


@register_measure
class LocalResidual(ForgettingMeasure):
    """The remaining share of the distance before unlearning."""

    name, title = "local_residual", "local residual"
    format = ".3f"
    spread = True

    def __call__(self, seen: Seen) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ForgettingMeasure`."""
        return local_residual(seen.after["forget"], seen.goal["forget"], seen.before["forget"])
