"""Runs that start in the same second take folders of their own."""

import threading

import pytest

import recbole_apa.runs.place as run_place
from recbole_apa import APAConfig, run
from recbole_apa.core.errors import RunError
from recbole_apa.pipeline.recbole_models import make_baseline_trainer
from recbole_apa.runs.place import make_run_dir, new_run_dir


@pytest.fixture(autouse=True)
def same_second(monkeypatch):
    monkeypatch.setattr(run_place, "get_local_time", lambda: "Nov-28-2026_04-51-02")


NAMES = ["APA-board-Nov-28-2026_04-51-02" + end for end in ("", "-2", "-3", "-4", "-5", "-6", "-7", "-8")]


@pytest.mark.slow
def test_two_runs_of_the_same_second_both_end_well(options, tmp_path):
    asked = {**options, "checkpoint_dir": str(tmp_path / "saved"), "variants": "chosen", "epochs": 1}
    first, second = run("APA", "board", config_dict=asked), run("APA", "board", config_dict=asked)
    assert [r.run_dir for r in (first, second)] == [tmp_path / "saved" / name for name in NAMES[:2]]
    assert all((r.run_dir / "report.html").is_file() for r in (first, second))


def test_no_two_threads_get_one_folder(tmp_path):
    config, found, at_once = {"checkpoint_dir": str(tmp_path), "dataset": "board"}, [], threading.Barrier(8)

    def start():
        at_once.wait()
        found.append(make_run_dir(config))

    threads = [threading.Thread(target=start) for _ in range(8)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert sorted(path.name for path in found) == NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES


def test_a_folder_of_which_nothing_came_is_removed(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_run_dir(str(tmp_path), "APA", "board"):
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt), new_run_dir(str(tmp_path), "APA", "board") as folder:
        (folder / "manifest.json").write_text("")
        raise KeyboardInterrupt
    assert (tmp_path / NAMES[0] / "manifest.json").exists()


def test_a_place_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "saved").write_text("")
    with pytest.raises(RunError, match=r"cannot create .*saved/APA-board-.*--run_dir"):
        make_run_dir({"checkpoint_dir": str(tmp_path / "saved"), "dataset": "board"})


def test_checkpoints_of_recboles_models_are_two_files(data_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("recbole.trainer.trainer.get_local_time", lambda: "Nov-28-2026_04-51-02")
    given = {
        "data_path": str(data_folder),
        "checkpoint_dir": str(tmp_path),
        "load_col": {"inter": ["user_id", "item_id"]},
    }
    files = set()
    for _ in range(2):
        config = APAConfig("Pop", "board", None, given)
        files.add(make_baseline_trainer(config, _Model()).saved_model_file)
    assert len(files) == 2 and all("Pop-Nov-28" in name and name.endswith(".pth") for name in files)


class _Model:
    """As little of a model as RecBole's trainer wants."""

    def parameters(self):
        import torch

        return [torch.nn.Parameter(torch.zeros(1))]
