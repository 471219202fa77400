"""The independent check of collaborative statistics: sums that keep what was forgotten are not certified."""

from collections import Counter

import pytest

from recbole_apa import add, audit, unlearn
from recbole_apa.collaborative import CountedRows, Statistics
from recbole_apa.collaborative.rows import counted_rows
from recbole_apa.core.errors import CertificateError
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.places import part_file, parts_of
from recbole_apa.data.index.source import source_of
from recbole_apa.data.index.write import write_index
from recbole_apa.evidence.search import scan_change, scan_tallies
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore
from tests.helpers.collaborative import OPTIONS, TALLREC, data_of, ratings_of
from tests.helpers.planted_sums import a_like_too_many
from tests.helpers.runs import copy_run, state
from tests.helpers.unseen import unseen_rows


def nothing_is_subtracted(patch):
    patch.setattr(Statistics, "after", lambda self, before, left: self)


def a_user_is_subtracted_twice(patch):
    after = Statistics.after
    patch.setattr(Statistics, "after", lambda self, before, left: after(self, before, left).minus(left))


def rows_of_nobody_are_noted(patch):
    patch.setattr(CountedRows, "after", lambda self, *rows: self)


BROKEN = [
    (nothing_is_subtracted, "interactions of 1 items in collaborative/sums.safetensors are not those of the index"),
    (a_user_is_subtracted_twice, r"interactions of \d+ items .*; likes of \d+ items"),
    (rows_of_nobody_are_noted, r"\d+ rows of \d+ users are noted as counted"),
    (a_like_too_many, r"still there \(likes of 1 items in collaborative/sums.safetensors"),
]


@pytest.mark.quick(1)
@pytest.mark.parametrize("earlier", [0, 1], ids=["all rows", "changes"])
@pytest.mark.parametrize(("broken", "says"), BROKEN)
def test_sums_that_keep_a_row_are_not_certified(broken, says, earlier, finished, tmp_path, monkeypatch):
    """The ledger has the request by then: it waits, the old state stays, and a program that is right finishes it.

    With an earlier request the check counts what changed; without one, or by the long way, everything.
    """
    folder, rows = copy_run(finished, tmp_path / "run"), unseen_rows(finished)
    for row in rows[1 : 1 + earlier]:
        unlearn(folder, interactions=[row])
    old, certificates = state(folder), sorted(folder.glob("certificates/*"))
    with monkeypatch.context() as patch:
        broken(patch)
        with pytest.raises(CertificateError, match=says):
            unlearn(folder, interactions=rows[:1])
    assert state(folder) == old and sorted(folder.glob("certificates/*")) == certificates
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
    assert sorted(found.values[found.values > 0].tolist()) == sorted(n for n in likes.values() if n)


def test_a_change_is_what_the_parts_have_more_or_less(tmp_path):
    """Parts that are not written again do not count."""
    ratings, found = ratings_of(), {}
    codes = list(dict.fromkeys(row[1] for row in ratings))
    about = About(OPTIONS.to_json(), source_of((), b"s"), ())
    for name in ("before", "after"):
        data = data_of(tmp_path / name, [row for row in ratings if name == "before" or row[0] != "u2"])
        write_index(tmp_path / name / "index", data.index_rows(), "ab" * 16, about, codes, n_parts=4)
        found[name] = scan_tallies(tmp_path / name / "index")
    before, after = (tmp_path / name / "index" for name in ("before", "after"))
    own = part_file(int(parts_of(["u2"], "ab" * 16, 4)[0]))
    for path in (after / "parts").iterdir():
        if path != after / own:
            path.unlink()
    change = scan_change(after, before)
    assert change.users == -1 and change.rows.sum() < 0 and change.values.any()
    for kind in ("rows", "values"):
        assert (getattr(change, kind) == getattr(found["after"], kind) - getattr(found["before"], kind)).all()
    assert (scan_tallies(after, before).rows == found["after"].rows).all()


def test_an_index_that_is_none_is_not_counted(tmp_path):
    (tmp_path / "index.json").write_text("{}")
    with pytest.raises(CertificateError, match="cannot scan"):
        scan_tallies(tmp_path)
