"""What is said of options that do not go together, or that a mode does not have."""

from types import SimpleNamespace

import pytest

from recbole_apa.cli.forget import is_asked
from recbole_apa.cli.next_items import _refuse_changes
from recbole_apa.cli.stages import ForgetOptions, ProveOptions
from recbole_apa.core.errors import DataError, SettingsError
from recbole_apa.data.data_options import LabelRule
from recbole_apa.data.read_data import _check_label


@pytest.mark.parametrize("at_once, says", [(False, "which trains what is missing anyway"), (True, "by itself")])
def test_catching_up_beside_a_request_is_refused_for_its_reason(at_once, says):
    with pytest.raises(SettingsError, match=says):
        is_asked(ForgetOptions(forget_users="1", catch_up=True, at_once=at_once), ProveOptions())


@pytest.mark.parametrize(
    "name, says", [("forget_user", "did you mean 'forget_users'"), ("predict_xyzzy", "e.g. --forget_users")]
)
def test_a_run_of_next_items_names_the_nearest_command(name, says):
    with pytest.raises(SettingsError, match=says):
        _refuse_changes({name: "3"})


def test_what_does_not_go_with_catching_up_is_said_to_be_that():
    with pytest.raises(SettingsError, match="--dry_run does not go with --catch_up: it trains what requests left"):
        is_asked(ForgetOptions(catch_up=True, dry_run=True), ProveOptions())


def test_a_column_that_is_not_read_is_told_from_one_that_is_not_there():
    def table(*names, read=()):
        return SimpleNamespace(path="x.inter", header=[SimpleNamespace(name=n) for n in names], columns=set(read))

    rule = LabelRule("rating", 4)
    with pytest.raises(DataError, match="load_col does not name it"):
        _check_label(table("user_id", "rating", read=("user_id",)), rule)
    with pytest.raises(DataError, match=r"has no column 'rating'; found user_id\. Name the column"):
        _check_label(table("user_id", read=("user_id",)), rule)
    _check_label(table("user_id", "rating", read=("user_id", "rating")), rule)
