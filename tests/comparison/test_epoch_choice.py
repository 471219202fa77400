"""Rows of the validation period that choose the epoch of RecBole's models in a comparison, and their settings."""

import numpy as np
import pytest

from benchmarks.baseline_settings import counts, judged, measure, stopping
from recbole_apa.comparison import run_methods
from recbole_apa.comparison.registry import make_methods
from recbole_apa.comparison.run_methods import _key
from recbole_apa.data.baseline_rows import baseline_rows
from recbole_apa.data.index.rows import TEST, VALID
from tests.helpers.compared import BLOCKS, FEW, PAPER, lines_of


@pytest.mark.quick(1)
@pytest.mark.parametrize("changes", [{}, {"min_history": 3}, PAPER], ids=["default", "late", "tallrec"])
@pytest.mark.parametrize("block", BLOCKS)
def test_epochs_are_chosen_on_the_whole_validation_split_or_on_its_samples(block, changes, opened):
    context = opened(block, **{"valid_samples": 3, **changes, "train_samples": 10})
    data, n_drawn = context.run_data, len(context.splits["valid"])
    roles = data.notes.roles[data.kept]
    users, items, labels = data.rows.users.texts(), data.rows.items.texts(), data.rows.labels.tolist()
    whole = sorted([users[n], items[n], str(labels[n])] for n in np.flatnonzero(roles == VALID))
    drawn = [[s.user_id, s.item_id, str(s.label)] for s in context.splits["valid"]]
    found = [line[:3] for line in lines_of(context.presplit(), "valid")]
    assert sorted(found) == whole if block == "all" else found == drawn
    assert len(whole) > n_drawn > 0 and all(line in whole for line in drawn)
    for name in ("FM", "SASRec"):
        (method,) = make_methods(context, [name], FEW)
        part = "valid" if name == "FM" else "valid_sequences"
        assert method.fit(1).n_stopping == len(lines_of(context.presplit(), part)) > 0
    (method,) = make_methods(context, ["Pop"], FEW)
    assert method.fit(1).n_stopping is None, "it has no epochs to choose from"
    assert all(line[3] for line in lines_of(context.presplit(), "valid_sequences"))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_validation_row_that_is_forgotten_chooses_no_epoch(block, opened):
    context = opened(block, valid_samples=3)
    data = context.run_data
    drawn = set(data.targets["valid"].tolist())
    row = next(n for n in np.flatnonzero(data.notes.roles[data.kept] == VALID) if (n in drawn) == (block != "all"))
    user, item = data.rows.users.texts()[row], data.rows.items.texts()[row]
    before = [line[:2] for line in lines_of(context.presplit(), "valid")]
    after = [line[:2] for line in lines_of(context.presplit_without(user, item), "valid")]
    assert [user, item] in before and after == [line for line in before if line != [user, item]]


def test_rows_whose_figures_meant_something_else_are_measured_again(opened):
    """The key of a stored row says what chose its epoch, and that its costs are its own; without these words it was the
    samples, and they were the model's."""
    settings = {block: [] for block in BLOCKS}
    with pytest.MonkeyPatch.context() as patch:
        for block in BLOCKS:
            patch.setattr(run_methods, "row_key", lambda told, _, block=block: settings[block].append(told))
            _key(opened(block), "FM", {})
            _key(opened(block), "APA(D)", {})
            _key(opened(block), "APA(D)+Evidence", {})
    with_costs = [["costs" in each for each in found] for found in settings.values()]
    assert with_costs == 3 * [[False, False, True]]
    told = {block: ["epoch_chosen_on" in each for each in found[:2]] for block, found in settings.items()}
    assert told == {"all": [True, False], "shown": [False, False], "drawn": [False, False]}


def test_settings_are_judged_on_rows_of_the_validation_period_alone(opened):
    context = opened(valid_samples=5)
    data = context.run_data
    roles = dict(zip(data.rows.row_ids(np.arange(len(data.rows))), data.notes.roles[data.kept].tolist(), strict=True))
    for block in BLOCKS:
        samples, stopped = judged(context, block), stopping(context, block)
        assert samples and {roles[s.sample_id] for s in samples} == {VALID}
        assert len(stopped) and not {s.sample_id for s in samples} & set(data.rows.row_ids(stopped))
    assert not {s.user_id for s in judged(context, "all")} & set(data.rows.users.texts(stopping(context, "all")))
    samples = judged(context, "shown")
    found = measure(context, "shown", "FM", {"epochs": 2})
    assert found["rows"] == len(baseline_rows(data, "shown")) and found["judged"] == len(samples)
    assert found["epochs"] == 2 and 0 <= found["auc"] <= 1
    shown = [roles[entry.interaction_id] for s in context.splits["test"] for entry in s.history]
    assert f"{shown.count(TEST) / len(shown):.0%} of the {len(shown)} labels" in counts(context)
