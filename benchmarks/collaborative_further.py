"""Further rows of the validation period for the fit of collaborative statistics: what they are worth."""

from collections.abc import Iterator

import numpy as np

from benchmarks.development_rows import FEW, RIDGE, Development, within_users
from recbole_apa.collaborative import DEFAULT_TERMS, Logistic, TermOptions, collaborative_terms
from recbole_apa.evaluation.metrics import auc, mean_log_loss

N_DRAWS, FURTHER = 20, (0, 250, 500, 1000, 2000, 10_000)


def further_rows(found: Development) -> Iterator[dict[str, float]]:
    """Fits on as many rows as a default run draws for validation, and on further rows of the same users: means and
    standard deviations over draws."""
    terms = collaborative_terms(found.pasts, found.items, found.pairs, TermOptions(), found.contents)
    table, labels, users = terms.table(DEFAULT_TERMS), found.labels, found.users
    valid, test = slice(found.n_valid), slice(found.n_valid, None)
    for further in FURTHER:
        scored = []
        for seed in range(N_DRAWS):
            few, rest = np.split(np.random.default_rng(seed).permutation(found.n_valid), [FEW])
            rows = np.concatenate([few, rest[np.isin(users[rest], users[few])][:further]])
            scores = Logistic.fit(table[valid][rows], labels[valid][rows], RIDGE).scores(table[test])
            within = within_users(labels[test], scores, users[test])
            scored.append((len(rows), auc(labels[test], scores), mean_log_loss(labels[test], scores), within))
        figures = dict(zip(("rows", "auc", "log_loss", "user_auc"), np.mean(scored, axis=0).tolist(), strict=True))
        yield {"further": further, **figures, "log_loss_std": float(np.std([told[2] for told in scored]))}
