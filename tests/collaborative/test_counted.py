"""The digest of the rows that statistics are counted from: users join and leave it, and no other row matters."""

import pytest

from recbole_apa.collaborative import CountedRows, RowCount, Statistics
from recbole_apa.collaborative.pair_sums import Pairs
from recbole_apa.collaborative.rows import ItemCodes, counted_rows
from recbole_apa.core.errors import RunError
from tests.helpers.collaborative import TALLREC, data_of, ratings_of

SECRET = b"a secret"


def counted(folder, ratings, **how):
    return CountedRows.of(data_of(folder, ratings, **how), SECRET, False)


def changed(ratings, place):
    """One rating moved over the threshold."""
    user, item, rating, time = ratings[place]
    return [*ratings[:place], (user, item, 1 if rating >= 4 else 5, time), *ratings[place + 1 :]]


@pytest.mark.parametrize("options", [{}, {"options": TALLREC}])
def test_the_rows_are_those_that_sums_count(options, tmp_path):
    data = data_of(tmp_path, ratings_of(), **options)
    codes = ItemCodes(data.rows.items.names)
    sums = Statistics.of([data], codes, Pairs(*[codes.of(data.rows.items)[:0]] * 2))
    found = CountedRows.of(data, SECRET, False)
    assert found.n_rows == int(sums.items.n.sum()) > 0
    assert found.n_users == len({data.rows.users[i] for i in counted_rows(data).nonzero()[0]})


def test_it_changes_with_each_counted_row_and_with_no_other(tmp_path):
    ratings = ratings_of()
    data = data_of(tmp_path, ratings)
    whole, which = CountedRows.of(data, SECRET, False), counted_rows(data)
    places = data.notes.places[data.kept]
    assert 0 < which.sum() < len(which)
    for row in range(0, len(which), 3):
        other = counted(tmp_path, changed(ratings, int(places[row])))
        assert (other.digest.hex() != whole.digest.hex()) == which[row], row
        assert (other.n_rows, other.n_users) == (whole.n_rows, whole.n_users)


def test_users_leave_as_if_they_had_never_been_counted(tmp_path):
    ratings = ratings_of()
    of = {name: [row for row in ratings if (row[0] == "u2") == (name == "u2")] for name in ("u2", "others")}
    whole, gone = counted(tmp_path, ratings), data_of(tmp_path, of["u2"])
    left = counted(tmp_path, of["others"])
    assert whole.after(gone, None, False).to_json() == left.to_json()
    assert left.plus(CountedRows.of(gone, SECRET, False)).to_json() == whole.to_json()
    assert whole.after(gone, gone, False).to_json() == whole.to_json()
    assert whole.minus(left).n_users == 1


def test_parts_give_what_the_whole_gives(tmp_path):
    ratings = ratings_of()
    whole = data_of(tmp_path, ratings)
    count = RowCount(SECRET, False)
    for user in range(6):
        count.add(data_of(tmp_path, [row for row in ratings if row[0] == f"u{user}"]))
    assert count.found.to_json() == CountedRows.of(whole, SECRET, False).to_json()


def test_another_secret_gives_another_digest(tmp_path):
    data = data_of(tmp_path, ratings_of())
    found = CountedRows.of(data, SECRET, False)
    assert CountedRows.of(data, b"another", False).digest.hex() != found.digest.hex()
    assert found.digest.hex() != data.users_digest(SECRET).hex()
    told = found.to_json()
    assert CountedRows.from_json(told, SECRET).to_json() == told
    for wrong in ({**told, "digest": "0" * 64}, {**told, "sums": told["sums"][4:]}, {**told, "rows": "many"}, {}):
        with pytest.raises(RunError, match="digest of the rows that collaborative statistics are counted from"):
            CountedRows.from_json(wrong, SECRET)
    with pytest.raises(RunError):
        CountedRows.from_json(told, b"another")


def test_ratings_are_in_it_where_they_are_counted(tmp_path):
    """4 and 5 have one label."""
    ratings = [(user, item, min(rating, 4), time) for user, item, rating, time in ratings_of()]
    others = [(user, item, rating + (rating == 4), time) for user, item, rating, time in ratings]
    for use_ratings, same in ((False, True), (True, False)):
        found = [CountedRows.of(data_of(tmp_path, rows), SECRET, use_ratings) for rows in (ratings, others)]
        assert (found[0].digest.hex() == found[1].digest.hex()) == same
