"""A run whose shards train adapters for titles: kept, forgotten, proved; killed at every boundary."""

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.files.whole import file_digest, read_json, write_json
from recbole_apa.core.system import devices
from recbole_apa.next_item import change, fit, title_training
from recbole_apa.next_item.run import put_in_force, session, title_files
from recbole_apa.next_item.run.add import add_next_items
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import open_next_items, run_next_items
from tests.helpers.next_item_runs import kill
from tests.helpers.runs import tree

ROWS = [f"{row} of 2 drawn users" for row in ("titles", "titles + heads", "heads")]


@pytest.fixture(scope="module")
def made(title_run):
    return title_run


@pytest.mark.slow
def test_a_run_keeps_adapters_and_the_rows_of_drawn_users(made, monkeypatch):
    files = NextItemStore(made.folder).manifest()["files"]
    assert {f"adapters/00{k}.safetensors" for k in range(3)} < set(files)
    assert set(made.figures) > {*ROWS} and "test.ndcg@10" in made.figures["titles of 2 drawn users"]
    for name in ("after_each", "of_many"):  # opening ranks no titles: the rows are kept
        monkeypatch.setattr(title_training.HistoryStates, name, None)
    again = open_next_items(made.folder)
    assert again.figures == made.figures and again.table == made.table  # of the table the order of rows, too
    assert [row for row in again.figures if row in ROWS] == ROWS == list(again.of_titles)
    assert again.state.learnt.adapters[0].layers == made.state.learnt.adapters[0].layers


def test_a_request_trains_the_adapter_of_the_hit_shard_and_no_other(folder):
    before = NextItemStore(folder).manifest()["files"]
    result = forget_next_items(folder, users=["u5"])
    after = NextItemStore(folder).manifest()["files"]
    changed = {name for name in before if before[name] != after[name]}
    shard = result.change.shards[0]
    for part in ("adapters/", "drafts/"):
        assert {name for name in changed if name.startswith(part)} == {f"{part}{shard:03d}.safetensors"}
    told = json.loads(Path(result.certificates[0]).read_text())
    assert f"adapters/{shard:03d}.safetensors" in told["files"] and "trained again" in told["kept"]
    found = audit_next_items(folder)
    assert found.holds and any("3 adapters" in line and "3 drafts" in line for line in found.checked)
    verified = verify_next_items(folder)
    assert verified.differences == [] and {"adapters", "drafts"} < set(verified.compared)


def test_a_device_that_trains_no_adapters_is_refused_before_the_request_is_taken(folder, monkeypatch):
    before = tree(folder)
    monkeypatch.setattr(devices, "_what_is_missing", lambda *given: "")  # as if there were a GPU
    with pytest.raises(SettingsError, match="--device=cpu"):
        forget_next_items(folder, users=["u5"], exactness="fresh", config_dict={"device": "cuda"})
    assert tree(folder) == before


@pytest.mark.slow
def test_rows_that_join_train_the_adapters_of_their_shards_as_a_training_would(folder):
    before = NextItemStore(folder).manifest()["files"]
    change = add_next_items(folder, [("u8", "i2", 4, 9000), ("u8", "i3", 4, 9001)]).change
    after = NextItemStore(folder).manifest()["files"]
    changed = {name for name in before if before[name] != after[name] and name.startswith("adapters/")}
    assert changed == {f"adapters/{shard:03d}.safetensors" for shard in change.shards} and len(changed) == 1
    assert audit_next_items(folder).findings == [] and verify_next_items(folder).differences == []


@pytest.mark.slow
def test_another_adapter_is_found_by_verification_and_another_lineage_by_audit(folder):
    store = NextItemStore(folder)
    manifest = store.manifest()
    state = store.state_folder(manifest)
    path = state / "adapters" / "000.safetensors"
    tensors = load_file(path)
    name = next(iter(tensors))
    tensors[name].view(-1)[0] += 1e-6
    save_file(tensors, path)
    lineage = read_json(state / "lineage.json")
    lineage["adapters"][1] = "0" * 64
    write_json(state / "lineage.json", lineage)
    for file in ("adapters/000.safetensors", "lineage.json"):
        manifest["files"][file] = file_digest(state / file)
    store.put_in_force(manifest)
    assert any("the adapter of shard 1" in finding for finding in audit_next_items(folder).findings)
    found = verify_next_items(folder).differences
    assert any(name.startswith("learnt.adapters.0.factors") for name in found) and "learnt.adapters.1.lineage" in found


@pytest.mark.parametrize(
    "where, name, after",
    [
        (title_training.TitleTrainer, "_step", 1),
        (title_training.TitleTrainer, "__call__", 0),
        (change, "trained_titles", 0),
        (title_files, "write_adapter", 2),
        (put_in_force, "write_state", 0),
        (NextItemStore, "put_in_force", 0),
        (session, "finish_request", 1),
        (session, "delete_drafts", 0),
        (session.Session, "_retrained", 0),
        (title_files, "write_draft", 1),
    ],
    ids=[
        "in a step",
        "before training",
        "before the adapters",
        "between files",
        "before files",
        "unnamed",
        "in force",
        "before a draft is deleted",
        "after it is deleted",
        "between drafts",
    ],
)
@pytest.mark.quick(1)
def test_whatever_is_killed_when_the_run_is_in_the_old_state_or_in_the_new_one(folder, monkeypatch, where, name, after):
    before = NextItemStore(folder).manifest()
    with monkeypatch.context() as patch:
        kill(patch, where, name, after)
        with pytest.raises(KeyboardInterrupt):
            forget_next_items(folder, users=["u5"])
    manifest = NextItemStore(folder).check()
    assert (manifest == before) == (name != "finish_request")
    with pytest.raises(RunError, match="--resume"):
        open_next_items(folder)
    assert len(forget_next_items(folder).certificates) == 1
    assert audit_next_items(folder).holds and not (folder / "state-0001").exists()


def test_a_run_of_before_there_were_adapters_is_opened(head_run, tmp_path):
    run = Path(shutil.copytree(head_run.folder, tmp_path / "run"))
    store = NextItemStore(run)
    manifest = store.manifest()
    settings = manifest["options"]["settings"]
    later = [name for name in settings if name.startswith(("adapter", "draft_", "title_", "code_", "shard_s"))]
    assert len(later) == 20
    for name in later:
        del settings[name]
    store.put_in_force(manifest)
    assert open_next_items(run).figures == head_run.figures
    forget_next_items(run, users=["u5"])
    assert verify_next_items(run).holds and audit_next_items(run).holds


def test_a_damaged_adapter_is_refused(folder):
    store = NextItemStore(folder)
    manifest = store.manifest()
    path = store.state_folder(manifest) / "adapters" / "002.safetensors"
    for tensors in ({"other": next(iter(load_file(path).values()))}, dict([*load_file(path).items()][1:])):
        save_file(tensors, path)
        manifest["files"]["adapters/002.safetensors"] = file_digest(path)
        store.put_in_force(manifest)
        with pytest.raises(RunError, match=r"002\.safetensors"):
            open_next_items(folder)


def test_heads_alone_train_nothing(made, monkeypatch, next_options, tmp_path):
    monkeypatch.setattr(fit, "TitleTrainer", None)
    run = run_next_items("chains", config_dict=next_options, run_dir=tmp_path / "run")
    assert run.state.learnt.adapters == () and {*ROWS}.isdisjoint(run.figures)
