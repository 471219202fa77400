"""What stands under a run's table: what its figures do not mean."""

from recbole_apa.cli import recommendations
from recbole_apa.next_item.catalogue import Catalogue
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.ranking import split_of
from recbole_apa.next_item.run.figures import told_of_repeats
from recbole_apa.next_item.run.title_rows import told_of_drawn
from recbole_apa.next_item.sequences import UserSequence
from recbole_apa.pipeline.recommendation import Recommendation


def _data(*sequences: str) -> NextItemData:
    users = tuple(UserSequence(f"u{number}", tuple(items)) for number, items in enumerate(sequences))
    return NextItemData(None, Catalogue(tuple("abcde"), tuple("ABCDE")), users)  # type: ignore[arg-type]


def test_targets_that_users_had_before_are_told_as_the_mask_leaves_of_their_past_nothing_else():
    data = _data("abca", "abbcd", "abcd")
    test = split_of(data, "test")
    assert test.allowed[0].tolist() == [True, False, False, True, True]  # of a, b, c that were had only the target
    told = told_of_repeats(data)
    assert told.startswith("1 of 3 test targets are items that their users had before") and "validation" not in told
    assert told_of_repeats(_data("abcaa")).startswith("1 of 1 test targets and 1 of 1 validation targets")
    assert told_of_repeats(_data("abcd", "ab", "a")) == ""


def test_the_table_of_a_run_tells_of_them(head_run):
    repeats = [s.user for s in head_run.data.sequences if s.valid is not None and s.valid in s.trained]
    assert len(repeats) == 2
    assert f"2 of {len(split_of(head_run.data, 'valid').targets)} validation targets" in head_run.table


def test_rows_of_more_users_than_there_are_say_how_many_they_have():
    data, figures = _data("abcd", "abcd", "ab"), {"titles of 20 drawn users": {}, "heads of 20 drawn users": {}}
    assert "there are 3 with a test target and 2 with a validation target" in told_of_drawn(figures, data)
    assert told_of_drawn({"titles of 2 drawn users": {}}, data) == told_of_drawn({"heads alone": {}}, data) == ""


def test_the_similar_item_is_not_told_as_the_one_before():
    """Similar items are symmetric: what came after it is another term's."""
    found = Recommendation("u", 1, "b", "B", 1.0, {"what follows": 2.0, "similar items": 0.1}, "A")
    assert recommendations._why(found) == "what follows +2.00, similar items +0.10, because of A"
