"""Several request files carried out together: one certificate each, and each shard is trained again once."""

import json
import shutil
from pathlib import Path

import pytest

from recbole_apa.cli.main import main
from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.next_item.run import put_in_force, session
from recbole_apa.next_item.run.catch_up import catch_up_next_items
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import open_next_items
from recbole_apa.next_item.title_training import TitleTrainer
from recbole_apa.runs.ledger_lines import DONE, REQUEST
from tests.helpers.next_item_runs import assert_holds, kill, kinds, state_of
from tests.helpers.runs import tree


@pytest.fixture(scope="module")
def made(sliced_run):
    return sliced_run


@pytest.fixture
def files(made, tmp_path) -> list[str]:
    """An interaction, and a user of the same shard whose it is not; the files' names are their order."""
    shards = made.state.learnt.shard_of
    one, other = next((u, v) for u in sorted(shards) for v in sorted(shards) if u < v and shards[u] == shards[v])
    requests = tmp_path / "requests"
    requests.mkdir()
    (requests / "1.csv").write_text(f"user_id,item_id\n{one},{made.data.of_user[one].items[1]}\n")
    (requests / "2.csv").write_text(f"user_id,item_id\n{other},\n")
    return [str(path) for path in sorted(requests.iterdir())]


@pytest.mark.slow
def test_requests_gathered_are_carried_out_together(folder, files, tmp_path, monkeypatch):
    alone = Path(shutil.copytree(folder, tmp_path / "alone"))
    for file in files:
        forget_next_items(alone, file)
    seen, real = [], TitleTrainer._slice_trained
    monkeypatch.setattr(
        TitleTrainer,
        "_slice_trained",
        lambda self, bank, where, *more: (seen.append(where), real(self, bank, where, *more))[1],
    )
    result = forget_next_items(folder, files)
    assert seen and len(seen) == len(set(seen)) and len(result.change.shards) == 1
    told = [read_json(Path(path)) for path in result.certificates]
    assert [one["request"]["position"] for one in told] == [1, 2]
    assert [one["request"]["served_together"] for one in told] == [2, 2]
    assert result.n_interactions == sum(one["request"]["n_interactions"] for one in told) > 2
    assert kinds(folder) == [REQUEST, REQUEST, DONE] and state_of(folder) == state_of(alone)
    manifests = [NextItemStore(place).manifest() for place in (folder, alone)]
    assert manifests[0]["n_forgotten"] == manifests[1]["n_forgotten"] and len(manifests[0]["served"]) == 2
    assert_holds(folder)


@pytest.mark.slow
def test_what_an_earlier_file_names_does_not_count_twice(made, folder, files):
    user = Path(files[0]).read_text().splitlines()[1].split(",")[0]
    Path(files[1]).write_text(f"user_id,item_id\n{user},\n")
    result = forget_next_items(folder, files)
    first, second = (read_json(Path(path))["request"]["interactions"] for path in result.certificates)
    assert len(first) == 1 and not set(first) & set(second)
    assert len(second) == len(made.data.of_user[user].items) - 1
    assert audit_next_items(folder).findings == []


def test_what_an_earlier_file_names_is_passed_over(folder, files):
    Path(files[0]).write_text(Path(files[1]).read_text())
    result = forget_next_items(folder, files)
    assert len(result.left) == len(result.certificates) == 1 and result.left[0].startswith(
        "2.csv, line 2: earlier files"
    )
    assert kinds(folder) == [REQUEST, DONE]


@pytest.mark.parametrize("line", ["nobody,", "again"])
def test_one_bad_file_changes_nothing(folder, files, line):
    again = f"{Path(files[0]).read_text().splitlines()[1]}\nnobody,"
    Path(files[1]).write_text(f"user_id,item_id\n{again if line == 'again' else line}\n")
    before = tree(folder)
    with pytest.raises(RequestError, match=rf"2\.csv.*{'forgotten before' if line == 'again' else 'no such user'}"):
        forget_next_items(folder, files)
    with pytest.raises(SettingsError, match="put these into a file"):
        forget_next_items(folder, files, users=["u3"])
    assert tree(folder) == before


@pytest.mark.slow
def test_a_folder_is_given_again_every_night(folder, files, capsys):
    """What was carried out before is passed over, and only the new file is a request."""
    gather = f"--gather={Path(files[0]).parent}"
    assert main([f"--run={folder}", gather, "--dry_run"]) == 0
    assert "to forget change" in capsys.readouterr().out
    assert main([f"--run={folder}", gather]) == 0
    assert capsys.readouterr().out.count("certificate:") == 2
    before = tree(folder)
    for more in ([], ["--dry_run"]):
        assert main([f"--run={folder}", gather, *more]) == 0
        assert capsys.readouterr().out.count("forgotten before") == 2
    assert main([f"--run={folder}", gather, "--at_once"]) == 0
    assert "at once" not in capsys.readouterr().out  # nothing was carried out
    assert tree(folder) == before
    with pytest.raises(RequestError, match="was forgotten before"):
        forget_next_items(folder, files[0])
    user = next(u for u in open_next_items(folder).state.learnt.shard_of)
    (Path(files[0]).parent / "3.csv").write_text(f"user_id,item_id\n{user},\n")
    assert main([f"--run={folder}", gather, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["next_items_unlearn"]
    assert len(told["left_out"]) == 2 and [Path(name).name for name in told["certificates"]] == ["0004.json"]
    assert audit_next_items(folder).findings == []


@pytest.mark.parametrize(
    "where, name, after",
    [
        (session.Ledger, "append", 1),
        (put_in_force, "write_state", 0),
        (put_in_force, "write_json", 1),
        (NextItemStore, "put_in_force", 0),
        (session, "finish_request", 1),
    ],
)
@pytest.mark.quick(1)
def test_whatever_is_killed_when_all_are_finished(folder, plain, files, monkeypatch, where, name, after):
    forget_next_items(plain, files)
    before = NextItemStore(folder).manifest()
    with monkeypatch.context() as patch:
        kill(patch, where, name, after)
        with pytest.raises(KeyboardInterrupt):
            forget_next_items(folder, files)
    assert (NextItemStore(folder).manifest() == before) == (name != "finish_request")
    result = forget_next_items(folder, files)  # the same command again
    assert len(list((folder / "certificates").iterdir())) == 2 and state_of(folder) == state_of(plain)
    assert len(result.certificates) == 2 and audit_next_items(folder).findings == []


def test_a_missing_or_changed_certificate_of_several_is_found(folder, files):
    forget_next_items(folder, files)
    for path in (folder / "certificates" / "0001.json", folder / "state-0002" / "certificate-0001.json"):
        kept = path.read_bytes()
        path.write_bytes(kept.replace(b"exact", b"EXACT"))
        assert audit_next_items(folder).findings
        path.write_bytes(kept)
    assert audit_next_items(folder).findings == []


@pytest.mark.slow
def test_gathered_at_once(folder, plain, files):
    forget_next_items(plain, files)
    result = forget_next_items(folder, files, at_once=True)
    assert all(read_json(Path(path))["title"].endswith("(exact, at once)") for path in result.certificates)
    assert_holds(folder)
    catch_up_next_items(folder)
    assert state_of(folder) == state_of(plain)
    assert_holds(folder)
