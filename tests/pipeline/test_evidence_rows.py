"""Which rows a RecBole model of the evidence can learn from; what is said of them is what RecBole makes of them."""

import numpy as np
import pytest

from recbole_apa.data.presplit_files import Layout, PresplitRow
from recbole_apa.data.tokens import Tokens
from recbole_apa.pipeline import evidence_rows, recbole_models
from recbole_apa.pipeline.evidence_rows import EvidenceRows, LabelledRows
from recbole_apa.pipeline.patience import batch_without_single
from recbole_apa.pipeline.recbole_models import PresplitFiles, train_baseline
from recbole_apa.pipeline.recbole_names import usual_options


def row(user, item, label):
    return PresplitRow(f"u{user}", f"i{item}", label, ())


def rows_of(learnt, judged, items):
    """As a run's data gives them: one list of names for both."""
    both = [*learnt, *judged]
    columns = (Tokens.of([getattr(r, name) for r in both]) for name in ("user_id", "item_id"))
    whole = LabelledRows(*columns, np.array([r.label for r in both], dtype=np.int64))
    return EvidenceRows(whole.take(np.arange(len(learnt))), whole.take(np.arange(len(learnt), len(both))), items)


MANY = [row(u, i, (u + i) % 2) for u in range(6) for i in range(8) if u * i % 3 != 1]
EIGHT = frozenset(f"i{i}" for i in range(8))
CASES = {
    "many": (MANY, MANY[::5], EIGHT),
    "no item file": (MANY, MANY[::5], None),
    "none": ([], [], EIGHT),
    "one": ([row(1, 1, 1)], [row(1, 1, 1)], EIGHT),
    "one item": ([row(1, 1, 1), row(2, 1, 0)], [row(1, 1, 1)], None),
    "likes alone": ([r._replace(label=1) for r in MANY], MANY[::5], EIGHT),
    "dislikes alone": ([r._replace(label=0) for r in MANY], MANY[::5], EIGHT),
    "judged by likes": (MANY, [r for r in MANY if r.label][:3], EIGHT),
    "judged by dislikes": (MANY, [r for r in MANY if not r.label][:3], EIGHT),
    "judged by others": ([r for r in MANY if r.user_id != "u1"], [r for r in MANY if r.user_id == "u1"], EIGHT),
    "a user likes all": (MANY + [row(9, i, 1) for i in range(8)], MANY[::5], EIGHT),
    "a user has all": (MANY + [row(9, i, i % 2) for i in range(8)], MANY[::5], EIGHT),
    "a user has all, with the judged": (
        MANY + [row(9, i, 1) for i in range(4)],
        MANY[::5] + [row(9, i, 0) for i in range(4, 8)],
        EIGHT,
    ),
    "all but a line": (MANY + [row(9, i, 1) for i in range(8)], MANY[::5], EIGHT | {"i8"}),
}


def trained(model, rows, folder, **own):
    """Whether RecBole can train a model on these rows."""
    source = folder / "board"
    source.mkdir(parents=True)
    lines = "".join(f"{name}\n" for name in sorted(rows.items or ()))
    (source / "board.item").write_text("item_id:token\n" + lines)
    rows.write(folder, source, Layout())
    given = {**usual_options(model, "all"), "epochs": 1, "log_dir": str(folder), "use_gpu": False, **own}
    try:
        train_baseline(model, PresplitFiles(folder, (), 1), 1, given)
    except ValueError:
        return False
    return True


@pytest.mark.quick(8)
@pytest.mark.parametrize("model", ["FM", "BPR"])
@pytest.mark.parametrize("name", CASES)
def test_what_is_said_of_rows_is_what_recbole_makes_of_them(name, model, tmp_path):
    rows = rows_of(*CASES[name])
    why = rows.why_unfit(model, Layout())
    if name != "one" or model != "FM":  # which RecBole trains, but no model that normalises
        assert trained(model, rows, tmp_path) == (not why), why


def test_ids_that_no_file_can_hold_are_named():
    rows = rows_of([*MANY, row("\t", 1, 1)], MANY, EIGHT)
    assert "contains the column separator" in rows.why_unfit("FM", Layout())
    known = rows_of([*MANY, row("\t", 1, 1)], MANY, EIGHT)
    left = EvidenceRows(known.learnt.take(np.arange(len(MANY))), known.judged, EIGHT)
    assert left.why_unfit("FM", Layout()) == ""  # a name that no row has any more


def test_rows_are_not_looked_at_one_by_one(monkeypatch):
    """Ten million of them are looked at on every request."""
    rows = rows_of(*CASES["a user has all, with the judged"])
    monkeypatch.setattr(evidence_rows, "PresplitRow", lambda *args: pytest.fail("a row is made"))
    monkeypatch.setattr(Tokens, "texts", lambda *args: pytest.fail("texts of rows are made"))
    assert rows.why_unfit("BPR", Layout()) == "found 1 user(s) who have all 8 items, expected an item that each lacks"
    assert rows.why_unfit("FM", Layout()) == ""


@pytest.mark.parametrize("model", ["NFM", "DCN"])
def test_a_last_batch_of_one_row_does_not_end_a_model_that_normalises(model, monkeypatch, tmp_path):
    rows = rows_of(MANY[:21], MANY[:4], EIGHT)
    assert trained(model, rows, tmp_path / "mended", train_batch_size=5)
    monkeypatch.setattr(recbole_models, "batch_without_single", lambda n_rows, size: size)
    assert not trained(model, rows, tmp_path / "as before", train_batch_size=5)


@pytest.mark.parametrize("n", [2, 3, 2048, 2049, 4097, 2049 * 2048 + 1])
def test_batches_end(n):
    size = batch_without_single(n, 2048)
    assert n % size != 1 and size - 2048 < 3
