"""What does not belong to a run, or was damaged, is named; bad input writes nothing."""

import shutil

import pytest

from recbole_apa import evaluate_run, run
from recbole_apa.adapters.training import ShardHistory
from recbole_apa.core.errors import DataError, RunError, SettingsError
from recbole_apa.core.files.whole import file_digest
from recbole_apa.runs.shard_files import record_of
from recbole_apa.runs.store import RunStore


@pytest.mark.slow
def test_what_a_killed_start_leaves_behind_is_no_obstacle(options, tmp_path):
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / ".manifest.json.tmp").write_text('{"format_ver')
    assert run("APA", "board", config_dict={**options, "epochs": 1}, run_dir=folder).run_dir == folder
    assert not (folder / ".manifest.json.tmp").exists()


def test_changed_file_is_named(finished, tmp_path):
    shutil.copytree(finished.run_dir, tmp_path / "copy")
    path = tmp_path / "copy" / "shards" / "001" / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(RunError, match=r"shards/001/adapter_model.safetensors was changed after it was written"):
        evaluate_run(tmp_path / "copy")
    path.unlink()
    with pytest.raises(RunError, match="is missing; the manifest lists it"):
        evaluate_run(tmp_path / "copy")


def test_damaged_manifest_and_foreign_folders_are_named(finished, tmp_path):
    with pytest.raises(RunError, match="is not a run folder"):
        evaluate_run(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format_version": 2')
    with pytest.raises(RunError, match="is damaged"):
        evaluate_run(tmp_path)
    (tmp_path / "manifest.json").write_text("[]")
    with pytest.raises(RunError, match="format version None, expected 2"):
        evaluate_run(tmp_path)


def test_other_data_is_noticed(finished, data_folder, tmp_path):
    shutil.copytree(data_folder, tmp_path / "data")
    with open(tmp_path / "data" / "board" / "board.inter", "a") as f:
        f.write("u1\ti1\t5\t99999\n")
    with pytest.raises(RunError, match="not the one that the run was made of"):
        evaluate_run(finished.run_dir, {"data_path": str(tmp_path / "data")})


@pytest.mark.slow
def test_run_dir_of_another_run_is_refused_and_left_alone(finished, options, tmp_path):
    before = file_digest(finished.run_dir / "manifest.json")
    with pytest.raises(RunError, match="lora_rank: 8 there, 4 asked"):
        run("APA", "board", config_dict={**options, "lora_rank": 4}, run_dir=finished.run_dir)
    with pytest.raises(RunError, match="holds a finished run; evaluate it with --run="):
        run("APA", "board", config_dict=options, run_dir=finished.run_dir)
    assert file_digest(finished.run_dir / "manifest.json") == before
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not a run folder"):
        run("APA", "board", config_dict=options, run_dir=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"item_text": "{titel}"}, DataError, "no column titel; expected columns among title, year"),
        ({"threshold": {"rating": 1}}, DataError, "all 30 training labels are Yes"),
        ({"threshold": {"stars": 1}}, DataError, "stars"),
        ({"threshold": None}, SettingsError, "expected e.g. {rating: 4}"),
        ({"val_interval": {"rating": "[9,10]"}}, DataError, "empty"),
        ({"target_modules": ["c_attn"]}, RuntimeError, "no linear layer named c_attn; its layers are"),
        ({"min_history": 15, "train_samples": None}, DataError, "no train sample is left"),
        ({"normalize_all": True}, SettingsError, "expected false"),
        ({"data_path": "/nowhere"}, DataError, "name the parent folder with --data_path"),
        ({"device": "abacus"}, SettingsError, "expected e.g. cpu"),
    ],
    ids=lambda x: str(x)[:40] if isinstance(x, dict) else "",
)
def test_bad_input_is_named_and_writes_nothing(change, error, says, options, tmp_path):
    with pytest.raises(error, match=says.replace("{", r"\{").replace("}", r"\}")):
        run("APA", "board", config_dict={**options, **change}, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_no_space_leaves_nothing_half_written(finished, tmp_path, monkeypatch):
    import errno

    from recbole_apa.adapters.peft_files import write_adapter
    from recbole_apa.model.train_shards import peft_description

    def full_disk(folder, *rest):
        write_adapter(folder, *rest)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("recbole_apa.adapters.peft_files.write_adapter", full_disk)
    store = RunStore(tmp_path / "run")
    factors, _ = finished.trainer.store.load_shard(0)
    about = peft_description(finished.model)
    with pytest.raises(RunError, match=r"no space left while writing .*shards/000"):
        store.save_shard(0, factors, about, record_of(ShardHistory(), "key", 1.0))
    assert list((tmp_path / "run" / "shards").iterdir()) == []
