"""Run folders and files from strangers: none of their code runs, nothing outside is deleted or written."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.core.errors import APAError, RunError, SettingsError
from recbole_apa.core.files.whole import write_json
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.ledger_lines import REQUEST
from recbole_apa.runs.manifest import with_check
from recbole_apa.runs.outside import ANOTHERS, UNKNOWN, are_own_logs, mark, whose
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.key_digests import convert
from tests.helpers.runs import copy_run, tree


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
    write_json(path, with_check(manifest))  # a stranger knows how it is computed
    return folder


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    "name", ["board-APADataset.pth", "board-for-APA-dataloader.pth", "board-SequentialDataset.pth"]
)
def test_nothing_is_unpickled_on_an_ordinary_start(name, options, tmp_path):
    saved, sprung = tmp_path / "saved", tmp_path / "sprung"
    saved.mkdir()
    (saved / name).write_bytes(pickle.dumps(Trap(sprung)))
    for model in ("APA", "SASRec"):
        given = options if model == "APA" else {"data_path": options["data_path"], "train_neg_sample_args": None}
        with pytest.raises(SettingsError, match="runs the code of whoever wrote it"):
            run(model, "board", config_dict={**given, "checkpoint_dir": str(saved)}, run_dir=tmp_path / "run")
    assert not sprung.exists() and not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["dataset_save_path", "dataloaders_save_path"])
def test_a_manifest_cannot_name_a_pickle(option, finished, tmp_path):
    sprung, trap = tmp_path / "sprung", tmp_path / "board-APADataset.pth"
    trap.write_bytes(pickle.dumps(Trap(sprung)))
    folder = edited(finished, tmp_path, lambda m: m["options"].update({option: str(trap)}))
    with pytest.raises(RunError, match=f"names {option} .* a pickle"):
        evaluate_run(folder)
    assert not audit(folder).holds and not sprung.exists()


@pytest.mark.slow
def test_places_to_write_to_are_not_taken_from_a_manifest(finished, tmp_path):
    """A user may have trained with them; whoever opens the run says where files go."""
    sprung, victim = tmp_path / "sprung", tmp_path / "victim"
    victim.mkdir()
    (victim / "board-APADataset.pth").write_bytes(pickle.dumps(Trap(sprung)))
    given = {
        "checkpoint_dir": str(victim),
        "save_dataset": True,
        "save_dataloaders": True,
        "worker": 64,
        "log_dir": str(victim),
    }
    folder = edited(finished, tmp_path, lambda m: m["options"].update(given))
    before = tree(victim)
    opened = evaluate_run(folder)
    assert opened.config["checkpoint_dir"] != str(victim) and not opened.config["save_dataset"]
    found = audit(folder)
    assert found.holds and any("checkpoint_dir, log_dir, save_dataloaders" in n for n in found.notices)
    unlearn(folder, users=["u3"])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert not set(given) & set(manifest["options"]) and tree(victim) == before and not sprung.exists()


@pytest.mark.quick(5)
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("plugins", ["x"]),
        ("config_files", "/etc/passwd"),
        ("run_dir", "/tmp/x"),
        ("export_samples", "/tmp/x"),
        ("engine", "ray"),
        ("ray_address", "ray://elsewhere"),
        ("offload_folder", "/tmp/x"),
        ("workers", 9),
        ("MODEL_TYPE", 1),
        ("lora_rank", "8"),
        ("eval_args", {"split": {"RS": "__import__('os')"}}),
        ("seed", True),
        ("threshold", {"rating": float("1e300"), "other": 1}),
        ("repeatable", "yes"),
        ("transform", "x"),
    ],
)
def test_options_of_a_manifest_are_known_by_name_and_of_their_type(option, value, finished, tmp_path):
    folder = edited(finished, tmp_path, lambda m: m["options"].update({option: value}))
    with pytest.raises(APAError, match=option):
        evaluate_run(folder)
    found = audit(folder)
    assert any(option in f for f in found.findings)


def test_a_backbones_own_program_needs_the_word_of_whoever_opens_the_run(finished, tmp_path):
    folder = edited(finished, tmp_path, lambda m: m["options"].update(trust_remote_code=True))
    with pytest.raises(RunError, match="give --trust_remote_code=True again"):
        evaluate_run(folder)
    with pytest.raises(SettingsError, match="the run was trained without"):
        evaluate_run(copy_run(finished, tmp_path / "plain"), {"trust_remote_code": True})


@pytest.mark.parametrize("place", ["tensorboard", "exports"])
def test_nothing_outside_is_deleted_or_written_that_is_not_the_runs_own(place, finished, tmp_path):
    """A manifest named somebody's folder as its logs, or its export, and the next request deleted or overwrote it."""
    victim = tmp_path / "log_tensorboard" / "run-0123abcd" if place == "tensorboard" else tmp_path / "papers"
    victim.mkdir(parents=True)
    for name in ("train.jsonl", "valid.jsonl", "test.jsonl", "thesis.txt"):
        (victim / name).write_text(json.dumps({"sample_id": "mine"}) + "\n")
    before = tree(victim)
    folder = edited(finished, tmp_path, lambda m: m["outside"].update({place: [str(victim)]}))
    unlearn(folder, users=["u3"])
    assert tree(victim) == before
    certificate = json.loads((folder / "certificates" / "0001.json").read_text())
    assert str(victim) in certificate["left_outside"] and str(victim) not in certificate["removed_outside"]
    assert any(f"{victim} could contain traces" in f for f in audit(folder).findings)


def test_logs_and_exports_are_known_by_their_marks_alone(tmp_path):
    """Those of runs from before marks were known by name and content, which a copy of the run has too."""
    logs, home = tmp_path / "log_tensorboard" / "run-0123abcd", str(tmp_path / "run")
    logs.mkdir(parents=True)
    (logs / "events.out.tfevents.1").write_bytes(b"")
    assert whose(logs, "salt", home) == UNKNOWN and not are_own_logs(logs, "salt", home)
    mark(logs, "another run's salt", home)
    assert whose(logs, "salt", home) == ANOTHERS and not are_own_logs(logs, "salt", home)
    mark(logs, "salt", home)
    assert are_own_logs(logs, "salt", home)
    assert whose(logs, "salt", str(tmp_path / "copy")) == UNKNOWN  # copied or moved: the run is not at its place
    write_json(tmp_path / "run" / "manifest.json", {"salt": "salt"})
    assert whose(logs, "salt", str(tmp_path / "copy")) == ANOTHERS
    (logs / ".recbole-apa-run").write_text((logs / ".recbole-apa-run").read_text().splitlines()[0] + "\n")
    assert whose(logs, "salt", home) == UNKNOWN  # a mark of before places were noted
    mark(logs, "salt", home)
    (logs / "mine.txt").write_text("")
    assert not are_own_logs(logs, "salt", home)
    (tmp_path / "link").symlink_to(logs)
    assert whose(tmp_path / "link", "salt", home) == UNKNOWN


def ready_state(folder):
    """A state that looks as if a kill had interrupted its way into place: what a sender can make."""
    pending = folder / "pending"
    for name in ("shards", "figures"):
        shutil.copytree(folder / name, pending / name)
    manifest = json.loads((folder / "manifest.json").read_text())
    write_json(pending / "manifest.json", with_check({**manifest, "ready": True}))


def lead_away(path, target):
    """Put a link in a file's or folder's place."""
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


@pytest.mark.quick(3)
@pytest.mark.parametrize(
    "command", [lambda f: unlearn(f, users=["u3"]), unlearn, convert], ids=["ask", "resume", "key"]
)
@pytest.mark.parametrize("name", ["shards", "figures", "certificates", "pending"])
def test_nothing_is_put_in_place_through_a_link(name, command, finished, tmp_path):
    """A ready state in the sender's folder was put in place before anybody looked for links: somebody's folder was
    deleted, and files were written beside it."""
    folder, victim = copy_run(finished, tmp_path / "run"), tmp_path / "victim"
    (victim / "000").mkdir(parents=True)
    for place in ("000/thesis.txt", "0001.json", "roc_curves.json"):
        (victim / place).write_text("mine")
    if name != "pending":
        ready_state(folder)
    lead_away(folder / name, victim)
    before = tree(victim), tree(folder)
    with pytest.raises(RunError, match=f"{name} is a link"):
        command(folder)
    assert (tree(victim), tree(folder)) == before


def test_nothing_waiting_is_begun_through_a_link(finished, tmp_path):
    """A line of the ledger that says that a request waits, and ``pending`` leads elsewhere."""
    folder, victim = copy_run(finished, tmp_path / "run"), tmp_path / "victim"
    victim.mkdir()
    content = {"interactions": [], "hides": [], "exactness": "inherited", "method": "exact"}
    Ledger(folder, RunStore(folder).salt).append(REQUEST, content)
    lead_away(folder / "pending", victim)
    with pytest.raises(RunError, match="pending is a link"):
        unlearn(folder)
    assert tree(victim) == {}


@pytest.mark.quick(1)
@pytest.mark.parametrize("command", [verify, lambda f: unlearn(f, users=["u3"], dry_run=True)], ids=["verify", "plan"])
def test_a_lock_that_leads_elsewhere_makes_no_file_there(command, finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    lead_away(folder / ".lock", tmp_path / "made")
    command(folder)
    assert not (tmp_path / "made").exists()


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", [".lock", "shards"])
def test_a_training_goes_on_through_no_link(name, options, tmp_path):
    folder, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    folder.mkdir()
    lead_away(folder / name, elsewhere)
    with pytest.raises(RunError, match=f"{name} is a link"):
        run("APA", "board", config_dict=options, run_dir=folder)
    assert not elsewhere.exists()


def test_a_forged_adapter_is_found_by_verification_alone(finished, tmp_path):
    """Where nothing was forgotten all digests are plain, and a sender can make them anew."""
    folder, name = copy_run(finished, tmp_path / "run"), "shards/000/adapter_model.safetensors"
    save_file({n: t + 0.01 for n, t in load_file(folder / name).items()}, folder / name)
    RunStore(folder).seal({})
    assert audit(folder).holds
    assert f"{name} differs" in verify(folder).differences
