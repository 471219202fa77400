"""The rows that RecBole's baselines learn from: blocks within each other, and no label of a validation or test row."""

import random

import numpy as np
import pytest

from recbole_apa.core.errors import DataError
from recbole_apa.data.baseline_rows import baseline_rows, past_likes, presplit_rows, training_period
from recbole_apa.data.index.rows import NO_ROLE, TEST, TRAIN, VALID
from recbole_apa.data.tallies import Tallies
from tests.helpers.chance_data import drawn_by_chance, write
from tests.helpers.run_data import Case
from tests.helpers.split_options import ML_100K

BLOCKS = ("all", "shown", "drawn")


def made_at_random(seed, options, folder):
    """Files, their case and what is made of them; None if a training refuses them."""
    rows, items, given = drawn_by_chance(random.Random(seed))
    write(folder, rows, items)
    case = Case("some", {**options, **given, "data_path": str(folder)})
    try:
        return rows, items, case, case.of_files()
    except DataError:
        return None


def told_to_baselines(data):
    """All that a baseline or a rule is trained on."""
    tallies = Tallies.of(data.train_rows)
    counted = sorted(zip(tallies.names, tallies.n.tolist(), tallies.likes.tolist(), strict=True))
    return [presplit_rows(data, baseline_rows(data, block)) for block in BLOCKS], [row for row in counted if row[1]]


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 60), marks=pytest.mark.slow)])
def test_labels_of_validation_and_test_rows_move_nothing_that_is_learnt_from(seeds, options, tmp_path):
    n_planted = n_noticed = 0
    for seed in seeds:
        made = made_at_random(seed, options, tmp_path / str(seed))
        if made is None:
            continue
        rows, items, case, data = made
        roles = data.notes.roles
        for wanted in ((VALID, TEST), (TRAIN,)):
            planted = set(data.kept[np.isin(roles[data.kept], wanted)].tolist())
            order = place_in_files(case, rows)
            changed = list(rows)
            for place in planted:
                user, item, rating, time, part = rows[order[place]]
                changed[order[place]] = (user, item, 2 if rating >= 4 else 5, time, part)
            write(tmp_path / f"{seed}-{wanted[0]}", changed, items)
            other = Case(
                "some", {**case.config.external_config_dict, "data_path": str(tmp_path / f"{seed}-{wanted[0]}")}
            )
            again = other.of_files()
            assert (again.rows.labels != data.rows.labels).sum() == len(planted)
            same = told_to_baselines(again) == told_to_baselines(data)
            if wanted == (TRAIN,):
                n_noticed += not same
            else:
                assert same, seed
                n_planted += len(planted) > 0
    assert n_planted > len(seeds) / 4 and n_noticed == n_planted


def place_in_files(case, rows):
    """Where each row that is read stands among the test's own: pre-split files are read one after another."""
    if case.options.files.presplit is None:
        return list(range(len(rows)))
    return [i for part in case.options.files.presplit for i, row in enumerate(rows) if row[4] == part]


@pytest.mark.parametrize("seeds", [range(8), pytest.param(range(8, 60), marks=pytest.mark.slow)])
def test_blocks_are_within_each_other_and_are_what_they_are_called(seeds, options, tmp_path):
    n = 0
    for seed in seeds:
        made = made_at_random(seed, options, tmp_path / str(seed))
        if made is None:
            continue
        data = made[3]
        ids = dict(zip(range(len(data.rows)), data.rows.row_ids(np.arange(len(data.rows))), strict=True))
        found = {block: [ids[row] for row in baseline_rows(data, block).tolist()] for block in BLOCKS}
        assert found["drawn"] == [s.sample_id for s in data.samples["train"]]
        prompts = {
            entry.interaction_id for name in ("train", "valid") for s in data.samples[name] for entry in s.history
        }
        prompts |= {s.sample_id for s in data.samples["train"]}
        assert set(found["shown"]) == prompts & set(found["all"])
        assert set(found["drawn"]) <= set(found["shown"])
        for name in ("valid", "test"):
            assert not {s.sample_id for s in data.samples[name]} & set(found["all"])
        roles = data.notes.roles[data.kept]
        assert set(roles[training_period(data)]) <= {TRAIN, NO_ROLE} and training_period(data)[roles == TRAIN].all()
        for block in BLOCKS:  # each row with the history that a sample of it would have
            told = presplit_rows(data, baseline_rows(data, block))
            assert [row.label for row in told] == data.rows.labels[baseline_rows(data, block)].tolist()
            assert all(len(row.items) <= data.options.samples.history_length for row in told)
        n += len(set(found["all"])) > len(set(found["shown"])) > len(set(found["drawn"]))
    assert n > len(seeds) / 8


@pytest.mark.slow
def test_all_of_ml_100k_under_both_protocols():
    whole = Case("ml-100k", ML_100K["default"]).of_files()
    assert len(baseline_rows(whole, "all")) == 80_808  # 80 % of each user's rows, first ones too
    paper = Case("ml-100k", ML_100K["tallrec"]).of_files()
    rows = baseline_rows(paper, "all")
    users = {paper.rows.users[row] for row in paper.targets["train"].tolist()}
    roles = paper.notes.roles[paper.kept]
    trained = {paper.rows.users[row] for row in np.flatnonzero(roles == TRAIN).tolist()}
    assert users <= trained == {paper.rows.users[row] for row in rows.tolist()}
    assert (roles[rows] == TRAIN).sum() == 8000 and (roles[rows] == NO_ROLE).sum() >= 10 * (len(trained) - 1)
    judged = {s.user_id for s in paper.samples["test"]}
    assert len(judged & trained) == 0


def test_a_past_is_all_that_the_user_liked_before(options):
    data = Case("board", options).of_files()
    for sample, row in zip(data.samples["test"], data.targets["test"].tolist(), strict=True):
        step, user = int(data.rows.times[row]) % 1000, int(sample.user_id[1:])
        items = [(earlier * 3 + user // 2) % 20 for earlier in range(step)]
        assert past_likes(data, row) == [f"i{item}" for item in items if (user + item) % 2 == 0]
