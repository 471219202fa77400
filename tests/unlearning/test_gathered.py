"""Several request files carried out together: one certificate each, and each shard restarts once."""

import pytest

from recbole_apa import audit, unlearn
from recbole_apa.cli.forget import gathered
from recbole_apa.cli.stages import ForgetOptions
from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore
from tests.helpers.killed_process import fresh_copy
from tests.helpers.pieces import count_training
from tests.helpers.runs import state
from tests.helpers.sliced import pair_in


@pytest.fixture
def files(sliced, tmp_path):
    """A folder of two requests: for an interaction, and for a user whose interaction it is not."""
    user, item = pair_in(sliced, "last")
    folder = tmp_path / "requests"
    folder.mkdir()
    (folder / "1.csv").write_text(f"user_id,item_id\n{user},{item}\n")
    (folder / "2.csv").write_text(f"user_id,item_id\n{'u3' if user != 'u3' else 'u5'},\n")
    return folder


def read(files):
    return gathered(ForgetOptions(gather=str(files)))


@pytest.mark.slow
def test_requests_gathered_are_carried_out_together(sliced, copied, files, tmp_path, monkeypatch):
    seen = count_training(monkeypatch)
    result = unlearn(copied, requests=read(files))
    assert len(seen) == len(set(seen)) == result.plan.n_slices
    told = [read_json(path) for path in result.certificates]
    assert [one["request"]["position"] for one in told] == [1, 2]
    assert [one["request"]["served_together"] for one in told] == [2, 2]
    assert audit(copied).findings == []
    del seen[:]
    alone = fresh_copy(sliced.run_dir, tmp_path / "alone")
    for file in read(files):
        unlearn(alone, requests=file)
    assert state(alone) == state(copied) and len(seen) > result.plan.n_slices
    assert RunStore(alone).manifest()["forgotten"] == RunStore(copied).manifest()["forgotten"]


@pytest.mark.slow
def test_what_an_earlier_file_names_does_not_count_twice(sliced, copied, files):
    """A user in the second file whose interaction is in the first."""
    user, _ = pair_in(sliced, "last")
    (files / "2.csv").write_text(f"user_id,item_id\n{user},\n")
    result = unlearn(copied, requests=read(files))
    first, second = (read_json(path)["request"]["interactions"] for path in result.certificates)
    assert len(first) == 1 and not set(first) & set(second) and len(second) == 15
    assert audit(copied).findings == []


@pytest.mark.parametrize("lines", ["nobody,", "again\nu7,"])
def test_one_bad_file_changes_nothing(lines, sliced, copied, files):
    again = ",".join(pair_in(sliced, "last"))
    (files / "2.csv").write_text(f"user_id,item_id\n{lines.replace('again', again)}\n")
    before = state(copied)
    with pytest.raises(RequestError, match=r"2\.csv"):
        unlearn(copied, requests=read(files))
    assert state(copied) == before and not Ledger(copied, RunStore(copied).salt).entries()


@pytest.mark.slow
def test_what_an_earlier_file_of_the_folder_names_is_passed_over(copied, files):
    for name, lines in (("1", "u3,"), ("2", "u3,"), ("3", "u3,i2"), ("4", "u5,")):
        (files / f"{name}.csv").write_text(f"user_id,item_id\n{lines}\n")
    result = unlearn(copied, requests=read(files))
    assert [one.split(",")[0] for one in result.left] == ["2.csv", "3.csv"]
    assert all("earlier files of this call name it" in one for one in result.left)
    assert len(result.certificates) == len(Ledger(copied, RunStore(copied).salt).requests()) == 2
    assert audit(copied).findings == []


def test_a_user_whom_two_files_name_is_not_called_unknown(copied, files):
    (files / "1.csv").write_text("user_id,item_id\nu3,\n")
    (files / "2.csv").write_text("user_id,item_id\nu3,\nu7,\n")
    with pytest.raises(RequestError, match=r"2\.csv, line 2: was forgotten before \(user u3\)"):
        unlearn(copied, requests=read(files))
    assert not Ledger(copied, RunStore(copied).salt).entries()


@pytest.mark.slow
@pytest.mark.parametrize("is_open", [False, True])
def test_a_folder_is_given_again_every_night(is_open, copied, files):
    """What was carried out before is passed over, and only the new file is a request."""
    run = unlearn(copied, requests=read(files)).outcomes[-1].result if is_open else copied
    if not is_open:
        unlearn(copied, requests=read(files))
    before = state(copied)
    for dry_run in (True, False):
        again = unlearn(run, requests=read(files), dry_run=dry_run)
        assert (again.outcomes, again.plan) == ([], None) and [one.split(",")[0] for one in again.left] == [
            "1.csv",
            "2.csv",
        ]
    assert state(copied) == before and len(Ledger(copied, RunStore(copied).salt).requests()) == 2
    (files / "3.csv").write_text("user_id,item_id\nu7,\n")
    new = unlearn(run, requests=read(files))
    assert (len(new.left), len(new.certificates)) == (2, 1)
    with pytest.raises(RequestError, match=r"3\.csv, line 2: was forgotten before"):
        unlearn(copied, requests=files / "3.csv")
    assert audit(copied).findings == []


@pytest.mark.slow
def test_a_file_that_was_carried_out_in_part_is_not_passed_over(copied, files):
    unlearn(copied, requests=read(files))
    user = (files / "2.csv").read_text().split()[1]
    (files / "2.csv").write_text(f"user_id,item_id\n{user}\nu7,\n")
    before = state(copied)
    with pytest.raises(RequestError, match=r"2\.csv, line 2: was forgotten before"):
        unlearn(copied, requests=read(files))
    assert state(copied) == before


@pytest.mark.slow
def test_names_are_not_passed_over(copied):
    unlearn(copied, users=["u3"])
    with pytest.raises(RequestError, match="was forgotten before"):
        unlearn(copied, users=["u3"])


@pytest.mark.slow
def test_a_plan_counts_gathered_requests_once(copied, files):
    before = state(copied)
    plan = unlearn(copied, requests=read(files), dry_run=True).plan
    assert state(copied) == before
    assert plan.n_slices == unlearn(copied, requests=read(files)).plan.n_slices


def test_a_folder_of_requests_is_given_alone_and_has_some(files, tmp_path):
    (files / ".hidden").write_text("x")
    assert [path.rsplit("/", 1)[1] for path in read(files)] == ["1.csv", "2.csv"]
    with pytest.raises(SettingsError, match="does not go with --gather"):
        gathered(ForgetOptions(gather=str(files), forget_users="u3"))
    with pytest.raises(RequestError, match="found no file"):
        gathered(ForgetOptions(gather=str(tmp_path / "nowhere")))
    with pytest.raises(SettingsError, match="found several files, and names beside them"):
        unlearn(tmp_path, requests=read(files), users=["u3"])
