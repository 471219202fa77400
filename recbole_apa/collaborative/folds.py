"""Folds of users for fits that leave users out."""

from collections.abc import Sequence

import numpy as np

from recbole_apa.core.seeding import digest_of

N_FOLDS = 64


def user_folds(users: Sequence[str]) -> np.ndarray:
    """One of 64 folds for each row, by a hash of its user, (n,): it does not depend on which other users there are."""
    fold_of = {user: digest_of("collaborative folds", user)[0] % N_FOLDS for user in set(users)}
    return np.array([fold_of[user] for user in users], dtype=np.int64)
