"""Book-Crossing as TALLRec draws it, written as RecBole's files, for Table 1 of the paper.

    python -m benchmarks.book_targets --data_path=DIR --out=/tmp/book
    python -m benchmarks.paper --dataset=book-crossing --data_path=/tmp/book --out=benchmarks/results/table1-book

Its ratings have no times. TALLRec (Bao et al., RecSys 2023) draws a book of a user as the target and up to ten others
as the history; here it is ten. In the order of the file, which otherwise stands in for time, the last 1,000 samples are
of 50 users. So each user's rows are shuffled here, by a hash. Validation and test have one target each of 1,000 users.
The 8,000 training targets are of all others who have eleven rows, as evenly as their rows allow. The split of
``protocol=tallrec`` then takes exactly these: users one after another, each from the eleventh row on.
"""

import argparse
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from recbole_apa.evaluation.metrics import auc

NAME = "book-crossing"
HISTORY = 10


def digest(seed: int, *words: str) -> str:
    """What rows and users are shuffled by."""
    return hashlib.sha256("\t".join([str(seed), *words]).encode()).hexdigest()


def targets_of_each(possible: np.ndarray, wanted: int) -> np.ndarray:
    """How many targets each user has, as even as it goes.

    Args:
        possible: how many each could have.
        wanted: of all together.

    Raises:
        ValueError: there are not so many.
    """
    if possible.sum() < wanted:
        raise ValueError(f"found {possible.sum()} possible targets, expected {wanted}: give fewer held-out users")
    most = next(n for n in range(1, int(possible.max()) + 1) if np.minimum(possible, n).sum() >= wanted)
    each = np.minimum(possible, most)
    # the first users who have `most` give up one
    each[np.flatnonzero(each == most)[: each.sum() - wanted]] -= 1
    return each


def as_tallrec_draws(rows: pd.DataFrame, held_out: int, seed: int) -> pd.DataFrame:
    """The rows of all users with a target: those of training, of validation and of test, one user after another.

    Args:
        rows: columns ``user_id`` and ``item_id``, text, one row for each pair, and more.
        held_out: users in validation, and in test.
        seed: of the shuffling.
    """
    by = [digest(seed, user, item) for user, item in zip(rows.user_id, rows.item_id, strict=True)]
    rows = rows.assign(by=by).sort_values("by").drop(columns="by")
    n_rows = rows.groupby("user_id").size()
    users = sorted(n_rows.index[n_rows > HISTORY], key=lambda user: digest(seed, user))
    training = users[: len(users) - 2 * held_out]
    possible = n_rows[training].to_numpy() - HISTORY
    kept = [*(targets_of_each(possible, 8 * held_out) + HISTORY), *[HISTORY + 1] * (2 * held_out)]
    of_each = dict(iter(rows.groupby("user_id")))
    return pd.concat([of_each[user].head(n) for user, n in zip(users, kept, strict=True)])


def figures_on_test(drawn: pd.DataFrame, held_out: int) -> dict[str, float]:
    """Of the test targets: how many are liked (above 5, as TALLRec has it), and the AUC of the share of likes in their
    histories alone."""
    liked = (drawn.rating.astype(float) > 5).to_numpy()[-held_out * (HISTORY + 1) :].reshape(held_out, HISTORY + 1)
    share = liked[:, :HISTORY].mean(axis=1)
    return {"liked": float(liked[:, HISTORY].mean()), "AUC": auc(liked[:, HISTORY].astype(np.int64), share)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_path", type=Path, required=True, help="the folder that contains book-crossing/")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held_out", type=int, default=1000, help="users in validation, and in test")
    parser.add_argument("--seed", type=int, default=2020)
    given = parser.parse_args()
    source, target = given.data_path / NAME, given.out / NAME
    rows = pd.read_csv(source / f"{NAME}.inter", sep="\t", dtype=str).rename(columns=lambda name: name.split(":")[0])
    drawn = as_tallrec_draws(rows[rows.rating.astype(float) >= 1], given.held_out, given.seed)
    target.mkdir(parents=True)
    drawn.columns = ["user_id:token", "item_id:token", "rating:float"]
    drawn.to_csv(target / f"{NAME}.inter", sep="\t", index=False)
    shutil.copy(source / f"{NAME}.item", target)
    found = figures_on_test(drawn.set_axis(["user_id", "item_id", "rating"], axis=1), given.held_out)
    print(f"test targets: {found['liked']:.3f} liked; AUC of the history's share of likes: {found['AUC']:.4f}")
    print(f"{len(drawn)} rows of {drawn['user_id:token'].nunique()} users in {target}")


if __name__ == "__main__":
    main()
