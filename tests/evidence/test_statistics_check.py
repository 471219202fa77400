"""The independent check of collaborative statistics: sums that keep what was forgotten are not certified."""

from collections import Counter

import pytest

from recbole_apa import add, audit, unlearn
from recbole_apa.collaborative import CountedRows, Statistics
from recbole_apa.collaborative.rows import counted_rows
from recbole_apa.core.errors import CertificateError
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.source import source_of
from recbole_apa.data.index.write import write_index
from recbole_apa.evidence.search import scan_tallies
from recbole_apa.model import trainer
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning import light_stage
from tests.helpers.collaborative import OPTIONS, TALLREC, data_of, ratings_of
from tests.helpers.runs import copy_run, state
from tests.helpers.unseen import unseen_rows


def nothing_is_subtracted(patch):
    patch.setattr(Statistics, "after", lambda self, before, left: self)


def a_user_is_subtracted_twice(patch):
    after = Statistics.after
    patch.setattr(Statistics, "after", lambda self, before, left: after(self, before, left).minus(left))


def rows_of_nobody_are_noted(patch):
    patch.setattr(CountedRows, "after", lambda self, *rows: self)


def a_like_too_many(patch):
    """The long way, in whatever it writes."""
    save = trainer.save_collaborative

    def wrong(files, fitted):
        fitted.statistics.items.values[0] += 1
        save(files, fitted)

    patch.setattr(light_stage, "open_light", lambda *args: None)
    patch.setattr(trainer, "save_collaborative", wrong)


BROKEN = [
    (nothing_is_subtracted, "interactions of 1 items in collaborative/sums.safetensors are not those of the index"),
    (a_user_is_subtracted_twice, r"interactions of \d+ items .*; likes of \d+ items"),
    (rows_of_nobody_are_noted, r"\d+ rows of \d+ users are noted as counted"),
    (a_like_too_many, r"still there \(likes of 1 items in collaborative/sums.safetensors"),
]


@pytest.mark.parametrize(("broken", "says"), BROKEN)
def test_sums_that_keep_a_row_are_not_certified(broken, says, finished, tmp_path, monkeypatch):
    """The ledger has the request by then: it waits, the old state stays, and a program that is right finishes it."""
    folder = copy_run(finished, tmp_path / "run")
    old = state(folder)
    with monkeypatch.context() as patch:
        broken(patch)
        with pytest.raises(CertificateError, match=says):
            unlearn(folder, interactions=unseen_rows(finished)[:1])
    assert state(folder) == old and not (folder / "certificates").exists()
    assert len(Ledger(RunStore(folder).storage, RunStore(folder).salt).waiting()) == 1
    unlearn(folder)
    assert audit(folder).holds


@pytest.mark.slow
def test_an_addition_with_other_sums_is_not_put_in_place(finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    old, rows = state(folder), [("u3", "i3", 5, 90_000), ("u3", "i5", 1, 90_001)]
    with monkeypatch.context() as patch:
        a_like_too_many(patch)
        with pytest.raises(CertificateError, match="likes of 1 items"):
            add(folder, rows)
    assert state(folder) == old
    add(folder, rows)
    assert audit(folder).holds


@pytest.mark.parametrize("options", [OPTIONS, TALLREC])
def test_rows_are_counted_as_sums_count_them(options, tmp_path):
    data = data_of(tmp_path, ratings_of(), options)
    write_index(tmp_path / "index", data.index_rows(), "ab" * 16, About(options.to_json(), source_of((), b"s"), ()))
    found = scan_tallies(tmp_path / "index")
    rows, likes, users = Counter(), Counter(), set()
    for row in counted_rows(data).nonzero()[0].tolist():
        rows[data.rows.items[row]] += 1
        likes[data.rows.items[row]] += int(data.rows.labels[row])
        users.add(data.rows.users[row])
    assert sum(likes.values()) > 0 and len(users) == found.users
    assert sorted(found.rows[found.rows > 0].tolist()) == sorted(rows.values())
    assert sorted(found.likes[found.likes > 0].tolist()) == sorted(n for n in likes.values() if n)


def test_an_index_that_is_none_is_not_counted(tmp_path):
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(CertificateError, match="cannot scan"):
        scan_tallies(tmp_path)
