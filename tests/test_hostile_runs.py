"""Run folders and files from strangers: opening and auditing run none of their code (TRUST.md 3)."""

import json
import pickle
from pathlib import Path

import pytest

from recbole_apa import audit, evaluate_run, run
from recbole_apa.errors import APAError, SettingsError
from tests.unlearning_helpers import copy_run


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.write_text, (Path(self.path), "sprung")


def edited(finished, tmp_path, edit):
    """A copy of a run whose manifest was edited by its sender."""
    folder = copy_run(finished, tmp_path / "run")
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))
    return folder


@pytest.mark.parametrize(
    "name", ["board-APADataset.pth", "board-for-APA-dataloader.pth", "board-SequentialDataset.pth"]
)
def test_nothing_is_unpickled_on_an_ordinary_start(name, options, tmp_path):
    saved, sprung = tmp_path / "saved", tmp_path / "sprung"
    saved.mkdir()
    (saved / name).write_bytes(pickle.dumps(Trap(sprung)))
    for model in ("APA", "SASRec"):
        given = options if model == "APA" else {"data_path": options["data_path"], "train_neg_sample_args": None}
        with pytest.raises(SettingsError, match="a pickle runs its writer's code"):
            run(model, "board", config_dict={**given, "checkpoint_dir": str(saved)}, run_dir=tmp_path / "run")
    assert not sprung.exists() and not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["dataset_save_path", "dataloaders_save_path", "checkpoint_dir"])
def test_a_manifest_cannot_name_a_pickle(option, finished, tmp_path):
    sprung, trap = tmp_path / "sprung", tmp_path / "board-APADataset.pth"
    trap.write_bytes(pickle.dumps(Trap(sprung)))
    value = str(tmp_path if option == "checkpoint_dir" else trap)
    folder = edited(finished, tmp_path, lambda m: m["options"].update({option: value}))
    with pytest.raises(APAError):
        evaluate_run(folder)
    assert not audit(folder).holds and not sprung.exists()
