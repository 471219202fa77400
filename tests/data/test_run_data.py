"""``RunData`` from files, from the rows of its own index, and after rows were taken out of that: the same rows,
samples, digests and statistics as the dataset that a training reads from the files. On datasets drawn at random, and
on ml-100k.
"""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recbole_apa.core.errors import DataError
from recbole_apa.data.filters import Tables, apply_filters
from recbole_apa.data.forgotten import USER, Digester, Forgotten, Scope, digests_of
from recbole_apa.data.index.rows import ALLOWED, DRAWN, KEPT, NO_ROLE
from recbole_apa.data.read_data import read_interactions, read_sides
from recbole_apa.data.samples import Interactions
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.tokens import Tokens
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence.key import Key
from tests.helpers.chance_data import drawn_by_chance, more_options, request_by_chance, write
from tests.helpers.field_files import OPTIONS
from tests.helpers.places import ROOT
from tests.helpers.run_data import (
    Case,
    shuffled,
    sorted_train_rows,
    told_by,
    told_by_dataset,
    without_train_rows,
)
from tests.helpers.split_options import ML_100K


def check_flags(data, index):
    """Flags and roles are what they are called."""
    n_drawn = sum(len(rows) for rows in data.targets.values())
    assert (index.flags & DRAWN != 0).sum() == n_drawn
    assert np.array_equal(np.flatnonzero(index.flags & KEPT), np.sort(data.kept))
    assert not (index.flags[index.flags & KEPT != 0] & ALLOWED == 0).any()
    assert (index.roles[index.flags & KEPT == 0] == NO_ROLE).all()


def roles_of(data):
    roles = {name: frozenset(s.sample_id for s in data.samples[name]) for name in SPLITS}
    return {"roles": roles, "cutoffs": data.cutoffs}


def visible_of(visible_data, index):
    """Which rows of an index a request leaves."""
    columns = (index.users, index.items, np.zeros(len(index), dtype=np.int64), index.times, index.values)
    return visible_data.visible(Interactions(*columns))


def check_taken_out(case, index, whole, visible_data):
    """After a request, the index tells what the files tell with its rows hidden."""
    told = VisibleData(visible_data.forgotten, **roles_of(whole))
    left_rows = index.take(visible_of(visible_data, index))
    try:
        right = told_by_dataset(case.parts(told))
    except DataError as error:
        if "none of the run's" not in str(error):
            with pytest.raises(DataError, match=r"empty after filtering|no interaction is left"):
                case.of_index(left_rows, whole.cutoffs)
        return None
    left = case.of_index(shuffled(left_rows, 1), whole.cutoffs)
    assert without_train_rows(told_by(left)) == without_train_rows(right)
    old = case.of_files(told)  # as a run from before the index is opened
    assert told_by(old) == right and np.array_equal(old.notes.places, left.notes.places)
    assert without_train_rows(told_by(case.of_index(old.index_rows(), old.cutoffs))) == without_train_rows(right)
    check_flags_after(left, index)
    return left


def check_flags_after(left, index):
    """Nothing that was no sample has become one, and places and roles have stayed with their rows."""
    now, place = left.index_rows(), {p: row for row, p in enumerate(index.places.tolist())}
    was = index.take(np.array([place[p] for p in now.places.tolist()], dtype=np.int64))
    assert np.array_equal(was.roles, now.roles) and list(was.users) == list(now.users)
    assert not (now.flags & DRAWN & ~was.flags).any()
    assert np.array_equal(now.flags & ALLOWED, was.flags & ALLOWED)
    assert set(now.users.names) == set(now.users) and set(now.items.names) == set(now.items)


def compare(seed, options, folder):
    """Whether there was something to compare: a dataset that a training takes, before and after a request."""
    chance = random.Random(seed)
    rows, items, changes = drawn_by_chance(chance)
    if seed % 2:
        changes = more_options(chance, changes)
    timed = "timestamp" in changes["load_col"]["inter"]
    first, second = (request_by_chance(chance, rows, timed)[0].forgotten for _ in range(2))
    write(folder, rows, items)
    users = [f"u{k}\t{chance.choice((18, 25, 38))}" for k in range(9) if chance.random() < 0.8]
    (folder / "some" / "some.user").write_text("\n".join(["user_id:token\tage:float", *users]) + "\n")
    case = Case("some", {**options, **changes, "data_path": str(folder)})
    try:
        right = told_by_dataset(case.parts())
    except DataError as error:
        with pytest.raises(DataError) as caught:
            case.of_files()
        assert str(caught.value) == str(error)
        return False
    whole = case.of_files()
    assert told_by(whole) == right, (seed, changes)
    index = whole.index_rows()
    check_flags(whole, index)
    again = case.of_index(shuffled(index, seed), whole.cutoffs)
    assert sorted_train_rows(told_by(again)) == sorted_train_rows(right), (seed, changes)
    noted = case.of_index(shuffled(index, seed), whole.cutoffs, filtered=True)
    assert told_by(noted) == told_by(again), (seed, changes)
    left = check_taken_out(case, index, whole, VisibleData(first))
    if left is None:
        return False
    if np.isin(left.notes.places[left.kept], whole.notes.places[whole.kept]).all():  # no filter has let in others
        assert not Counter(left.train_rows) - Counter(whole.train_rows)
    check_taken_out(case, left.index_rows(), left, VisibleData(first + second))
    return len(left.raw) < len(whole.raw)


@pytest.mark.slow
@pytest.mark.parametrize("first", [0, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.soak])])
def test_files_and_index_tell_what_the_dataset_tells(first, options, tmp_path):
    n = 40 if first == 0 else 1000
    compared = sum(compare(seed, options, tmp_path / str(seed)) for seed in range(first, first + n))
    assert compared > n / 4  # the others are refused, either way


@pytest.mark.slow
@pytest.mark.parametrize("case", ML_100K)
def test_ml_100k_by_index(case, tmp_path):
    made = Case("ml-100k", {**ML_100K[case], "checkpoint_dir": str(tmp_path)})
    right, whole = told_by_dataset(made.parts()), made.of_files()
    assert told_by(whole) == right
    index = whole.index_rows()
    check_flags(whole, index)
    again = made.of_index(index, whole.cutoffs)
    assert sorted_train_rows(told_by(again)) == sorted_train_rows(right)
    sample, digester = whole.samples["train"][0], Digester("salt", Key(b"k" * 32))
    hidden = Forgotten(digester, scopes=digests_of([Scope(USER, sample.user_id)], digester))
    left = check_taken_out(made, index, whole, VisibleData((hidden,)))
    assert len(left.samples["train"]) < len(whole.samples["train"])


@given(st.lists(st.sampled_from("abcde")), st.data())
def test_compact_names_are_those_of_the_rows_in_order(texts, data):
    column = Tokens.of(texts)
    rows = np.array(data.draw(st.lists(st.integers(0, len(texts) - 1)) if texts else st.just([])), dtype=np.int64)
    few = column.take(rows).compact()
    assert list(few) == [texts[row] for row in rows]
    assert few.names == list(dict.fromkeys(few))


def test_allowed_is_what_a_row_passes_alone(options, tmp_path):
    n_judged = 0
    for seed in range(12):
        chance = random.Random(seed)
        rows, items, changes = drawn_by_chance(chance)
        changes = more_options(chance, {**changes, "benchmark_filename": None, "protocol": "recbole"})
        write(tmp_path / str(seed), rows, items)
        (tmp_path / str(seed) / "some" / "some.user").write_text("user_id:token\tage:float\nu0\t38\nu1\t18\n")
        case = Case("some", {**options, **changes, "data_path": str(tmp_path / str(seed))})
        (inter, _), sides = read_interactions(case.options.files, case.stem), read_sides(case.options.files, case.stem)
        alone = replace(case.options.filters, keep_duplicate=None, user_counts=None, item_counts=None)
        try:
            found = apply_filters(
                Tables(inter, *sides), replace(case.options.filters, user_counts=None, item_counts=None)
            )
        except DataError:
            continue
        passes = [is_left(Tables(inter.take(np.array([row])), *sides), alone) for row in range(len(inter))]
        assert found.allowed.tolist() == passes, (seed, changes)
        n_judged += 0 < sum(passes) < len(passes)
    assert n_judged > 3


def is_left(tables, settings):
    try:
        return len(apply_filters(tables, settings).rows) == 1
    except DataError:
        return False


def made_at_random(seed, options, folder, **changes):
    """A dataset that a training takes, or None."""
    chance = random.Random(seed)
    rows, items, given = drawn_by_chance(chance)
    write(folder, rows, items)
    case = Case("some", {**options, **given, **changes, "data_path": str(folder)})
    try:
        return case, case.of_files()
    except DataError:
        return None


@pytest.mark.slow
def test_some_users_rows_are_enough_for_their_samples(options, tmp_path):
    n = 0
    for seed in range(20):
        made = made_at_random(seed, options, tmp_path / str(seed))
        if made is None:
            continue
        case, whole = made
        index, wanted = whole.index_rows(), sorted(set(whole.rows.users))[::2]
        part = index.take(np.isin(list(index.users), wanted))
        some = case.of_index(part, whole.cutoffs, filtered=True)
        for name in SPLITS:
            assert some.samples[name] == [s for s in whole.samples[name] if s.user_id in wanted]
        assert set(some.index_rows().places.tolist()) < set(index.places.tolist())
        n += bool(some.samples["train"])
    assert n > 5


def test_ids_of_old_runs_stay_plain(options, tmp_path):
    case, whole = made_at_random(3, options, tmp_path / "some", benchmark_filename=None, protocol="recbole")
    old = case.of_files(VisibleData(plain_ids=True))
    again = case.of_index(old.index_rows(), old.cutoffs, plain_ids=True)
    assert again.samples == old.samples and ":i:" in old.samples["train"][0].sample_id
    assert whole.samples["train"][0].sample_id != old.samples["train"][0].sample_id


def test_texts_are_written_for_the_items_asked_for_alone(files):
    file = files.write().folder / "small.item"
    case = Case("small", {**OPTIONS, "data_path": str(files.folder.parent)})
    texts = case.of_files().texts
    assert texts.text_of("i3") == "Film Number 3 (1983)" and texts.text_of("nobody's") == "item nobody's"
    assert texts.items == [f"i{k}" for k in range(8)]
    file.write_text("".join(line for line in file.read_text().splitlines(True) if not line.startswith("i3\t")))
    whole = Case("small", {**OPTIONS, "data_path": str(files.folder.parent), "filter_inter_by_user_or_item": False})
    assert whole.of_files().texts.text_of("i3") == "item i3"


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["ml-1m", "book-crossing"])
def test_real_data_by_index(name, tmp_path):
    folder = ROOT.parent / "shared" / "data"
    if not (folder / name).is_dir():
        pytest.skip(f"{folder} is not there")
    case = Case(name, {"data_path": str(folder), "checkpoint_dir": str(tmp_path)})
    whole = case.of_files()
    again = case.of_index(shuffled(whole.index_rows(), 0), whole.cutoffs)
    assert sorted_train_rows(told_by(again)) == sorted_train_rows(told_by(whole))
