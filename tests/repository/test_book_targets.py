"""Book-Crossing as TALLRec draws it: known answers on made rows."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.book_targets import as_tallrec_draws, figures_on_test, targets_of_each
from benchmarks.released_book import figures
from recbole_apa.data.samples import order_windows
from recbole_apa.data.splits import tallrec_split


@pytest.fixture
def rows():
    """40 users with 3 to 42 rows, in the order of their names."""
    pairs = [(f"u{u:02d}", f"i{i}") for u in range(40) for i in range(u + 3)]
    return pd.DataFrame(pairs, columns=["user_id", "item_id"]).assign(rating="7")


def test_targets_are_as_even_as_rows_allow():
    assert targets_of_each(np.array([1, 5, 9, 9]), 12).tolist() == [1, 3, 4, 4]
    assert targets_of_each(np.array([2, 2]), 4).tolist() == [2, 2]
    with pytest.raises(ValueError, match="found 4 possible targets, expected 5"):
        targets_of_each(np.array([2, 2]), 5)


def test_the_protocol_takes_one_target_of_each_held_out_user_and_no_user_twice(rows):
    drawn = as_tallrec_draws(rows, held_out=5, seed=1).reset_index(drop=True)
    users = drawn.user_id.tolist()
    split = tallrec_split(order_windows(users, None))
    of = {name: [users[row] for row in split[name]] for name in split}
    assert [len(of[name]) for name in ("train", "valid", "test")] == [40, 5, 5]
    assert len(set(of["valid"])) == len(set(of["test"])) == 5
    assert not set(of["train"]) & set(of["valid"]) and not set(of["test"]) & {*of["train"], *of["valid"]}
    counts = pd.Series(of["train"]).value_counts()
    assert counts.max() - counts[counts.index > "u12"].min() <= 2


def test_the_order_of_the_file_does_not_matter_and_the_seed_does(rows):
    drawn = as_tallrec_draws(rows, 5, 1)
    assert drawn.equals(as_tallrec_draws(rows, 5, 1))
    turned = as_tallrec_draws(rows.iloc[::-1], 5, 1)
    assert turned.to_numpy().tolist() == drawn.to_numpy().tolist()
    assert as_tallrec_draws(rows, 5, 2).to_numpy().tolist() != drawn.to_numpy().tolist()


def test_a_history_tells_of_the_target(rows):
    """Users who like all or nothing: the share of likes says which."""
    rows = rows.assign(rating=["9" if user > "u30" else "2" for user in rows.user_id])
    found = figures_on_test(as_tallrec_draws(rows, 5, 2), 5)
    assert 0 < found["liked"] < 1 and found["AUC"] == 1


def test_released_prompts_are_counted():
    def sample(liked, rest, answer):
        named = [", ".join(f'"B" written by {n}' for n in range(n)) for n in (liked, rest)]
        target = 'Whether the user will like the target book ""T" written by A"?'
        return {"input": f"User Preference: {named[0]}\nUser Unpreference: {named[1]}\n{target}", "output": answer}

    samples = [sample(3, 1, "Yes."), sample(0, 4, "No."), sample(1, 1, "No."), sample(2, 0, "Yes.")]
    assert figures(samples) == {
        "samples": 4,
        "liked": 0.5,
        "shortest history": 2,
        "mean history": 3.0,
        "AUC of its share of likes": 1.0,
    }
