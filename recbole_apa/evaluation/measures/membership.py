"""Whether forgotten samples can be told from samples that were never seen.

Scores s are probabilities of a like, (n,).
"""

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC

from recbole_apa.evaluation.measures.answers import own_label, pairs
from recbole_apa.evaluation.measures.measure import Answers, ForgettingMeasure, Seen, register_measure


def membership_auc(
    forget: np.ndarray, forget_labels: np.ndarray, holdout: np.ndarray, holdout_labels: np.ndarray
) -> float | None:
    """AUC of telling forgotten samples from never seen ones by their loss; the goal is the retrained model's, not 0.
    None if there are none of either."""
    return _told_apart(own_label(forget, forget_labels), own_label(holdout, holdout_labels))


def entropy_membership(forget: np.ndarray, retain: np.ndarray, holdout: np.ndarray) -> float | None:
    """Share of forgotten samples that a support vector machine on the answers' entropy classifies as training samples
    (Bad-T's attack: RBF, C = 3, trained on retained against never seen samples). None if there are none of these."""
    n = min(len(retain), len(holdout))
    if not n:
        return None
    known = np.r_[_entropy(retain[:n]), _entropy(holdout[:n])][:, None]
    machine = SVC(C=3.0, gamma="auto").fit(known, np.r_[np.ones(n), np.zeros(n)])
    return float(machine.predict(_entropy(forget)[:, None]).mean())


def offline_rmia(
    target: np.ndarray,
    out_models: np.ndarray,
    population: np.ndarray,
    population_out_models: np.ndarray,
    gamma: float = 2.0,
    a: float = 1.0,
) -> np.ndarray:
    """Offline RMIA with models that did not see the samples: for each sample the share of the population that it beats,
    (n,).

    Args:
        target: probability of each sample's own label under the attacked model, (n,).
        out_models: the same under m models trained without the samples, (m, n).
        population: the same under the attacked model, for samples in no training set, (z,).
        population_out_models: the same under the m models, (m, z).
        gamma: the factor by which a sample has to beat another.
        a: in- and out-models together are taken to have the mean ((1 + a) p_out + 1 - a) / 2; 1 uses p_out as it is.
    """

    def ratio(p: np.ndarray, out: np.ndarray) -> np.ndarray:
        return p / (((1 + a) * out.mean(0) + (1 - a)) / 2)

    mine, theirs = ratio(target, out_models), ratio(population, population_out_models)
    beaten: np.ndarray = (mine[:, None] / theirs[None] > gamma).mean(1)
    return beaten


def rmia_auc(
    forget: np.ndarray, holdout: np.ndarray, forget_outs: np.ndarray, holdout_outs: np.ndarray, gamma: float = 1.0
) -> float | None:
    """AUC of telling forgotten from never seen samples by offline RMIA: every other never seen sample is the
    population, the rest are compared with the forgotten ones. None if there are fewer than two never seen samples.

    Args:
        forget, holdout: probability of each sample's own label under the attacked model, (n,) and (h,).
        forget_outs, holdout_outs: the same under m models that did not see the forgotten samples, (m, n) and (m, h).
        gamma: 1, as in the released code, instead of the paper's 2: with two possible answers, probabilities rarely
            differ by a factor of two.
    """
    population, population_outs = holdout[::2], holdout_outs[:, ::2]
    members, strangers = (
        offline_rmia(target, outs, population, population_outs, gamma)
        for target, outs in ((forget, forget_outs), (holdout[1::2], holdout_outs[:, 1::2]))
    )
    return _told_apart(members, strangers)


@register_measure
class MembershipAUC(ForgettingMeasure):
    """The attack by loss."""

    name, title = "membership_auc", "membership AUC"
    spread = True

    def __call__(self, seen: Seen) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ForgettingMeasure`."""
        return membership_auc(seen.after["forget"], seen.labels["forget"], seen.after["test"], seen.labels["test"])


@register_measure
class EntropyMembership(ForgettingMeasure):
    """Bad-T's attack by entropy."""

    name, title = "entropy_membership", "called member"
    format = ".3f"

    def __call__(self, seen: Seen) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ForgettingMeasure`."""
        retain = seen.after.get("retain", np.empty(0))
        return entropy_membership(seen.after["forget"], retain, seen.after["test"])


@register_measure
class RMIA(ForgettingMeasure):
    """Offline RMIA (Zarifzadeh et al., ICML 2024), by models that were trained without the data and are attacked in no
    row: otherwise a row's own answers would be in its denominator, and rows would differ by what they are compared
    with."""

    name, title = "rmia_auc", "RMIA AUC"

    def __call__(self, seen: Seen) -> float | None:
        """See :class:`~recbole_apa.evaluation.measures.measure.ForgettingMeasure`."""

        def own(found: Answers, part: str) -> np.ndarray:
            return own_label(found[part], seen.labels[part])

        forget, test = (np.stack([own(found, part) for found in seen.without]) for part in ("forget", "test"))
        return rmia_auc(own(seen.after, "forget"), own(seen.after, "test"), forget, test)


def _told_apart(members: np.ndarray, others: np.ndarray) -> float | None:
    if not len(members) or not len(others):
        return None
    return float(roc_auc_score(np.r_[np.ones(len(members)), np.zeros(len(others))], np.r_[members, others]))


def _entropy(scores: np.ndarray) -> np.ndarray:
    p = pairs(scores)
    out: np.ndarray = -(p * np.log(p)).sum(1)
    return out
