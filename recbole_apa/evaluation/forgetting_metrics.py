"""How near an unlearned model is to one that was trained without the data.

Scores s are probabilities of a like, (n,); the distributions compared are (1 - s, s).
"""

import numpy as np
from scipy.special import rel_entr
from sklearn.metrics import roc_auc_score
from sklearn.svm import SVC

_LEAST = 1e-7


def js_divergence(one: np.ndarray, other: np.ndarray) -> float:
    """Mean Jensen-Shannon divergence over samples, natural logarithm: 0 to ln 2."""
    p, q = _pairs(one), _pairs(other)
    middle = (p + q) / 2
    return float((rel_entr(p, middle) + rel_entr(q, middle)).sum(1).mean() / 2)


def half_jeffreys(one: np.ndarray, other: np.ndarray) -> float:
    """Mean of (KL(P|Q) + KL(Q|P)) / 2: what E2URec's code prints as JSD; unbounded."""
    p, q = _pairs(one), _pairs(other)
    return float((rel_entr(p, q) + rel_entr(q, p)).sum(1).mean() / 2)


def activation_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean Euclidean distance of the distributions (E2URec's L2, Bad-T's activation distance)."""
    return float(np.linalg.norm(_pairs(one) - _pairs(other), axis=1).mean())


def local_residual(unlearned: np.ndarray, retrained: np.ndarray, original: np.ndarray) -> float | None:
    """mean |s_u - s_r| / mean |s_o - s_r|: 0 like retrained, 1 as if nothing was done, above 1 farther away than that.
    None where the original is the retrained one's equal."""
    gap = np.abs(original - retrained).mean()
    return float(np.abs(unlearned - retrained).mean() / gap) if gap else None


def own_label(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probability of the samples' own labels, (n,), kept off 0."""
    return np.clip(np.where(labels == 1, scores, 1 - scores), _LEAST, 1.0)


def confidence(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean probability of the samples' own labels."""
    return float(own_label(scores, labels).mean())


def membership_auc(
    forget: np.ndarray, forget_labels: np.ndarray, holdout: np.ndarray, holdout_labels: np.ndarray
) -> float | None:
    """AUC of telling forgotten samples from never seen ones by their loss; the retrained model's is the aim, not 0.
    None without either."""
    return _told_apart(own_label(forget, forget_labels), own_label(holdout, holdout_labels))


def entropy_membership(forget: np.ndarray, retain: np.ndarray, holdout: np.ndarray) -> float | None:
    """Share of forgotten samples that a support vector machine on the answers' entropy takes for training samples
    (Bad-T's attack: RBF, C = 3, trained on retained against never seen samples). None where there are none of these."""
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
    """Offline RMIA with models that did not see the samples: (n,), each the share of the population that a sample
    beats.

    Args:
        target: probability of the own label under the attacked model, of the samples, (n,).
        out_models: the same under m models trained without them, (m, n).
        population: under the attacked model, of samples that nobody trained on, (z,).
        population_out_models: (m, z).
        gamma: by what factor a sample has to beat another.
        a: how far an out-model's mean stands for a mean over models with and without: 1 takes it as it is.
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
    population, the rest are told apart from the forgotten ones. None where fewer than two were never seen.

    Args:
        forget, holdout: probability of the own label under the attacked model, (n,) and (h,).
        forget_outs, holdout_outs: the same under m models that did not see the forgotten samples, (m, n) and (m, h).
        gamma: 1 in place of RMIA's 2: two probabilities of one answer in two seldom differ by a factor of two.
    """
    population, population_outs = holdout[::2], holdout_outs[:, ::2]
    members, strangers = (
        offline_rmia(target, outs, population, population_outs, gamma)
        for target, outs in ((forget, forget_outs), (holdout[1::2], holdout_outs[:, 1::2]))
    )
    return _told_apart(members, strangers)


def _told_apart(members: np.ndarray, others: np.ndarray) -> float | None:
    if not len(members) or not len(others):
        return None
    return float(roc_auc_score(np.r_[np.ones(len(members)), np.zeros(len(others))], np.r_[members, others]))


def _pairs(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.asarray(scores, dtype=np.float64), _LEAST, 1 - _LEAST)
    return np.stack([1 - clipped, clipped], axis=1)


def _entropy(scores: np.ndarray) -> np.ndarray:
    p = _pairs(scores)
    out: np.ndarray = -(p * np.log(p)).sum(1)
    return out
