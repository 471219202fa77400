"""Of several request files, which say nothing but what earlier ones say."""

import pytest

from recbole_apa.unlearning.requests.demands import Demand
from recbole_apa.unlearning.requests.done_before import without_repeats

USER, ITEM = Demand("1.csv, line 2", user="u"), Demand("1.csv, line 2", item="i")
PAIR, OTHER = Demand("1.csv, line 2", user="u", item="i"), Demand("1.csv, line 3", user="v")
TIMED = Demand("1.csv, line 2", user="u", item="i", time=5.0)
RATED = Demand("1.csv, line 2", user="u", item="i", value=3.0)
ODD = Demand("1.csv, line 2", user="u", item="i", unread=("note",))


@pytest.mark.parametrize(
    "first, second, is_repeated",
    [
        ([USER], [USER], True),
        ([USER], [PAIR], True),
        ([ITEM], [PAIR], True),
        ([USER, ITEM], [TIMED], True),
        ([PAIR], [TIMED], True),
        ([PAIR], [RATED], True),
        ([TIMED], [TIMED], True),
        ([RATED], [RATED], True),
        ([ODD], [ODD], True),
        ([OTHER, USER], [USER], True),
        ([PAIR], [USER], False),
        ([TIMED], [PAIR], False),
        ([RATED], [PAIR], False),  # its rating may not fit, and it may be left out
        ([RATED], [TIMED], False),
        ([ODD], [PAIR], False),
        ([USER], [ITEM], False),
        ([USER], [USER, OTHER], False),
    ],
)
def test_a_file_is_passed_over_if_all_of_it_is_named_before(first, second, is_repeated):
    new, told = without_repeats([first, second])
    assert new == ([first] if is_repeated else [first, second]) and len(told) == is_repeated


def test_several_files_may_name_it_together():
    new, told = without_repeats([[USER], [OTHER], [PAIR, OTHER]])
    assert new == [[USER], [OTHER]] and told[0].startswith("1.csv, line 2 and 1 more: an earlier file names it")


def test_what_was_passed_over_is_named_by_those_before():
    assert without_repeats([[USER], [PAIR], [PAIR]])[0] == [[USER]]
