"""Leave-one-out, the mask that every row has, and RecBole's measures of a ranking."""

import numpy as np
import pytest
import torch

from recbole_apa.core.errors import DataError, SettingsError
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.next_item.data import read_next_data
from recbole_apa.next_item.options import read_options
from recbole_apa.next_item.ranking import ranks_of, recbole_figures, refuse_metrics, split_of
from recbole_apa.next_item.run.figures import measures
from recbole_apa.next_item.sequences import UserSequence, n_targets, passes_of, sequences_of, targets_of


def test_the_last_items_are_held_out():
    long, two, one = (UserSequence("u", tuple("abcde"[:n])) for n in (5, 2, 1))
    assert (long.trained, long.valid, long.test) == (("a", "b", "c"), "d", "e")
    assert (two.trained, two.valid, two.test) == (("a",), None, "b")
    assert (one.trained, one.valid, one.test) == (("a",), None, None)
    assert long.shown(3) == ("b", "c", "d") and targets_of(long.shown(3), long.n_held_out) == ("c",)
    assert targets_of(two.shown(3), two.n_held_out) == () and one.shown(3) == ("a",)


def test_splits_are_those_of_recbole(read):
    """RecBole's ``LS: valid_and_test`` on the same rows."""
    from recbole_apa.data.recbole_split import SplitSettings, split_rows
    from recbole_apa.data.samples import order_windows

    _, data, _ = read
    rows = data.raw
    windows = order_windows(rows.users, rows.times)
    settings = SplitSettings("TO", "LS", "valid_and_test", True, 1)
    parts = split_rows(rows.users, rows.times, settings, windows)
    for name, part in zip(("trained", "valid", "test"), parts, strict=True):
        theirs = sorted((rows.users[row], rows.items[row]) for row in part.tolist())
        own = [(s.user, getattr(s, name)) for s in data.sequences if getattr(s, name) is not None]
        flat = [(user, item) for user, items in own for item in ([items] if isinstance(items, str) else items)]
        assert sorted(flat) == theirs, name


def test_rows_of_equal_times_keep_their_order(read):
    _, data, _ = read
    rows = data.raw.take(np.arange(40))
    same = type(rows)(rows.users, rows.items, rows.labels, np.zeros(len(rows)), rows.values)
    found = {s.user: s.items for s in sequences_of(same)}
    for user in found:
        own = [rows.items[row] for row in range(len(rows)) if rows.users[row] == user]
        assert list(found[user]) == own


def test_ranks_pass_over_what_the_user_had_and_break_ties_by_column():
    scores = torch.tensor([[3.0, 2.0, 2.0, 5.0, 2.0]])
    allowed = torch.tensor([[True, True, True, False, True]])
    assert [ranks_of(scores, allowed, torch.tensor([c])).item() for c in (0, 1, 2, 4)] == [1, 2, 3, 4]


def test_recboles_measures_are_those_of_the_ranks(read, monkeypatch):
    """Also where nothing has built a ``Config``, which gives numpy back the names that RecBole's metrics use."""
    options, data, _ = read
    split, scores = split_of(data, "test"), torch.randn(13, 18, dtype=torch.float64)
    monkeypatch.delattr(np, "float", raising=False)
    found = recbole_figures(scores, split, measures(options))
    ranks = split.ranks(scores.float().double())
    ndcg = (ranks <= 10) / torch.log2(1 + ranks)
    assert found["ndcg@10"] == pytest.approx(float(ndcg.mean()), abs=1e-5)
    assert found["recall@10"] == pytest.approx(float((ranks <= 10).double().mean()), abs=1e-5)
    assert found["ndcg@10"] != pytest.approx(float((ndcg * 0 + 1).mean()))
    for row, sequence in enumerate(split.sequences):
        had = set(data.catalogue.columns(sequence.items[:-1])) - {int(split.targets[row])}
        assert {c for c in range(18) if not split.allowed[row, c]} == had


def test_the_catalogue_is_that_of_the_item_file(read, chains, next_options, tmp_path):
    """An item that nobody has is in it; rows of items that it lacks are left out."""
    _, data, _ = read
    assert "i17" in data.catalogue and data.catalogue.items == tuple(sorted(data.catalogue.items))
    folder = tmp_path / "chains"
    folder.mkdir()
    inter = (chains / "chains" / "chains.inter").read_text()
    (folder / "chains.inter").write_text(inter + "u3\tnew\t5\t9999\n")
    (folder / "chains.item").write_text((chains / "chains" / "chains.item").read_text())
    options = read_options("chains", given={**next_options, "data_path": str(tmp_path)})
    found = read_next_data(options.data, options.stem, VisibleData())
    assert found.sequences == data.sequences


@pytest.mark.parametrize("name", ["user_inter_num_interval", "item_inter_num_interval"])
def test_filters_that_count_rows_are_refused(next_options, name):
    options = read_options("chains", given={**next_options, name: "[2,inf)"})
    with pytest.raises(DataError, match=name):
        read_next_data(options.data, options.stem, VisibleData())


def test_measures_that_need_more_than_a_rank_are_refused():
    refuse_metrics(["Recall", "NDCG"])
    with pytest.raises(SettingsError, match="GAUC"):
        refuse_metrics(["Recall", "GAUC"])


def test_earlier_items_are_read_in_further_passes_and_every_training_item_but_the_first_is_a_target_once():
    for n_items in range(1, 30):
        sequence = UserSequence("u", tuple(map(str, range(n_items))))
        for length in (2, 3, 7):
            passes = passes_of(sequence, length, all_rows=True)
            assert passes[-1] == passes_of(sequence, length, all_rows=False)[0]
            assert [item for one in passes for item in one.shown] == list(sequence.items[:-1] or sequence.items)
            assert all(1 <= len(one.shown) <= length for one in passes)
            assert [item for one in passes for item in one.targets] == list(sequence.trained[1:])
            assert n_targets(sequence, length, all_rows=True) == max(0, len(sequence.trained) - 1)
            after = [b for one in passes for a, b in zip(one.shown, one.targets, strict=False) if int(b) != int(a) + 1]
            assert not after
