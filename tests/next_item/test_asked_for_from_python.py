"""Users and numbers of items as a program has them."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.next_item.run.recommend import recommend, recommend_many
from recbole_apa.pipeline.recommendation import named_users, refuse_count
from tests.helpers.next_item_runs import train


@pytest.fixture(scope="module")
def numbered(chains, next_options, work_folder):
    """A run whose users are numbers."""
    data = work_folder / "numbered"
    shutil.copytree(chains / "chains", data / "chains")
    path = data / "chains" / "chains.inter"
    path.write_text("".join(line.removeprefix("u") for line in path.read_text().splitlines(keepends=True)))
    path.write_text(path.read_text().replace("ser_id", "user_id", 1))
    return train({**next_options, "data_path": str(data)}, work_folder / "of_numbers")


def test_a_whole_number_is_a_user(numbered):
    told = recommend(numbered, "7", k=3)
    assert recommend(numbered, 7, k=3) == told == recommend_many(numbered, [np.int64(7)], k=np.int64(3))[0]
    assert told[0].user == "7"
    for user in (7.0, True, None, b"7"):
        with pytest.raises(RequestError, match="expected a string or a whole number"):
            recommend(numbered, user)
    with pytest.raises(RequestError, match="expected a list"):
        recommend_many(numbered, "12")


@pytest.mark.parametrize("k", ["3", 3.0, True, None, 0, -1])
def test_how_many_is_a_whole_number(head_run, k):
    with pytest.raises(SettingsError, match=r"k: found .*, expected a whole number of at least 1"):
        recommend(head_run, "u4", k=k)


def test_the_labelled_mode_asks_in_the_same_way(monkeypatch):
    from recbole_apa.next_item.run import recommend as asked
    from recbole_apa.pipeline.recommend_labelled import recommend_users

    seen = []
    monkeypatch.setattr(asked, "recommend_users", lambda run, users, *more: seen.append(users) or [])
    recommend_many(Path("elsewhere"), [7, "a"])
    assert seen == [["7", "a"]] == [named_users([7, "a"])]
    for more in ({"k": "3"}, {"candidates": "30"}, {"candidates": 0}):
        with pytest.raises(SettingsError, match="expected a whole number of at least 1"):
            recommend_users("elsewhere", ["a"], **more)
    refuse_count("k", 1)
