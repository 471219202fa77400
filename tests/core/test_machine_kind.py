"""Bits are promised for one kind of machine: noted, compared, refused, certified."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from recbole_apa import audit, run, unlearn, verify
from recbole_apa.cli.main import main
from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.core.system.machine import kind_from, machine_kind
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.machines import Machines
from tests.helpers.machines import on_another
from tests.helpers.places import ROOT
from tests.helpers.runs import copy_run, shown_interaction, state, tree

OTHER_PROCESSOR = {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2"}


def noted(folder):
    """The kinds that the shards' records hold."""
    return [kind_from(read_json(p)["machine"]) for p in sorted(folder.glob("shards/*/training.json"))]


def test_manifest_and_every_shard_note_the_kind(finished):
    here = machine_kind("cpu")
    assert here.instructions and here.torch and here.libraries != "not known" and here.device == "cpu"
    assert read_json(finished.run_dir / "manifest.json")["machines"] == [here.plain()]
    assert noted(finished.run_dir) == [here] * 3
    assert not here.rounds_like(replace(here, instructions="of another"))
    assert here.rounds_like(replace(here, processor="another"))
    assert kind_from({"instructions": "AVX2"}) is None and kind_from(None) is None


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_request_on_another_kind_is_refused_before_the_ledger_knows(dry_run, finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    before = tree(folder)
    on_another(monkeypatch)
    with pytest.raises(RequestError, match=r"differ in: instructions(.|\n)*here: Another One(.|\n)*=retrain"):
        unlearn(folder, users=["u3"], dry_run=dry_run)
    assert tree(folder) == before


@pytest.mark.slow
def test_retrained_elsewhere_all_comes_from_there_and_is_exact(finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    pair = shown_interaction(finished)
    other = on_another(monkeypatch)
    planned = unlearn(folder, interactions=[pair], other_machine="retrain", dry_run=True).plan
    assert planned.shards == [0, 1, 2] and planned.n_train_samples == planned.n_kept
    result = unlearn(folder, interactions=[pair], other_machine="retrain")
    certificate = read_json(result.certificates[0])
    assert certificate["shards"]["trained"] == [0, 1, 2] and certificate["bit_exact"]
    assert certificate["machines"]["retrained"] and "trained again" in certificate["machines"]["says"]
    assert noted(folder) == [other] * 3
    assert read_json(folder / "manifest.json")["machines"] == [other.plain()]
    verified = verify(folder)
    assert verified.holds and verified.comparable and not verified.machines
    assert audit(folder).holds
    here = copy_run(finished, tmp_path / "here")
    monkeypatch.undo()
    os.chdir(tmp_path)
    unlearn(here, interactions=[pair])
    without = ("training.json",)
    assert {k: v for k, v in state(here).items() if not k.endswith(without)} == {
        k: v for k, v in state(folder).items() if not k.endswith(without)
    }


@pytest.mark.slow
def test_accepted_elsewhere_the_certificate_promises_no_equal_bits(finished, tmp_path, monkeypatch, capsys):
    folder = copy_run(finished, tmp_path / "run")
    here, other = machine_kind("cpu"), on_another(monkeypatch)
    result = unlearn(folder, interactions=[shown_interaction(finished)], other_machine="accept")
    certificate = read_json(result.certificates[0])
    assert not certificate["bit_exact"] and not certificate["machines"]["comparable"]
    assert len(certificate["shards"]["trained"]) < 3
    page = result.certificates[0].with_suffix(".html").read_text()
    assert "Not comparable bit for bit" in page and here.text() in page and other.text() in page
    assert (
        "without it" in page and "equality is bit for bit" not in page and "from scratch on the remaining" not in page
    )
    assert set(noted(folder)) == {here, other}
    assert audit(folder).holds
    monkeypatch.undo()
    os.chdir(tmp_path)
    verified = verify(folder)
    assert not verified.comparable and here.text() in verified.machines and other.text() in verified.machines


@pytest.mark.parametrize(("is_exact", "promises"), [(True, True), (False, False)])
def test_of_moved_adapters_nothing_is_promised_elsewhere(is_exact, promises):
    here = machine_kind("cpu")
    says = Machines(here, [replace(here, instructions="of another")]).certified(is_exact)["says"]
    assert says.startswith("Not comparable bit for bit") and ("trained again without it" in says) == promises


@pytest.mark.slow
def test_another_processor_with_the_same_instructions_is_served_and_named(finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    other = on_another(monkeypatch, processor="Sibling")
    certificate = read_json(unlearn(folder, interactions=[shown_interaction(finished)]).certificates[0])
    assert "processors differ by name" in certificate["machines"]["says"] and not certificate["bit_exact"]
    assert other.plain() in read_json(folder / "manifest.json")["machines"]


@pytest.mark.slow
def test_a_run_that_does_not_say_is_served_and_says_so(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    forget_kinds(folder)
    result = unlearn(folder, interactions=[shown_interaction(finished)])
    certificate = read_json(result.certificates[0])
    assert not certificate["bit_exact"] and "kind not recorded" in certificate["machines"]["says"]
    assert "kind not recorded" in verify(folder).machines
    again = read_json(unlearn(folder, users=["u3"], other_machine="retrain").certificates[0])
    assert again["bit_exact"] and again["shards"]["trained"] == [0, 1, 2]


def forget_kinds(folder):
    """Make a run as it was before kinds were noted."""
    for path in folder.glob("shards/*/training.json"):
        write_json(path, {k: v for k, v in read_json(path).items() if k != "machine"})
    store = RunStore(folder)
    write_json(folder / "manifest.json", {k: v for k, v in store.manifest().items() if k != "machines"})
    store.seal({})


@pytest.mark.slow
def test_what_was_begun_elsewhere_is_begun_again(finished, tmp_path, monkeypatch):
    """Killed on one kind, gone on with on another: nothing of the first attempt is kept."""
    folder = copy_run(finished, tmp_path / "run")
    with monkeypatch.context() as patch:
        other = on_another(patch)
        patch.setattr(RunStore, "save_memory", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            unlearn(folder, users=["u3"], other_machine="retrain")
        assert other in [kind_from(read_json(p)["machine"]) for p in folder.glob("pending/shards/*/training.json")]
    os.chdir(tmp_path)
    unlearn(folder)
    assert set(noted(folder)) == {machine_kind("cpu")} and verify(folder).holds


@pytest.mark.slow
def test_a_training_gone_on_with_elsewhere_names_both_kinds(options, tmp_path, monkeypatch):
    asked = {"config_dict": {**options, "epochs": 1}, "run_dir": tmp_path / "run"}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunStore, "save_memory", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
        run("APA", "board", **asked)
    other = on_another(monkeypatch)
    run("APA", "board", **asked)
    kinds = [kind_from(value) for value in read_json(tmp_path / "run" / "manifest.json")["machines"]]
    assert kinds == [machine_kind("cpu"), other] and set(noted(tmp_path / "run")) == {machine_kind("cpu")}
    with pytest.raises(RequestError, match="differ in: instructions"):
        unlearn(tmp_path / "run", users=["u3"])


def test_options_that_do_not_fit_are_refused(finished, tmp_path, capsys):
    folder = copy_run(finished, tmp_path / "run")
    with pytest.raises(SettingsError, match="other_machine: found 'any', expected one of refuse, retrain, accept"):
        unlearn(folder, users=["u3"], other_machine="any")
    with pytest.raises(SettingsError, match="other_machine: retrain needs unlearn_method: exact, found NPO"):
        unlearn(folder, users=["u3"], method="NPO", other_machine="retrain")
    assert main([f"--run={folder}", "--other_machine=retrain"]) == 2
    assert "--other_machine: found no request" in capsys.readouterr().err


@pytest.mark.slow
def test_on_a_processor_with_other_instructions(options, finished, tmp_path, work_folder):
    """The very thing: bits differ there, a request is refused, retrained it is exact there."""
    folder = copy_run(finished, tmp_path / "run")
    verified = _elsewhere(work_folder, f"--run={folder}", "--verify")
    assert verified.returncode == 1 and "not comparable bit for bit" in verified.stdout, verified.stdout
    asked = (f"--run={folder}", "--forget_users=u3")
    refused = _elsewhere(work_folder, *asked)
    assert refused.returncode == 2 and "differ in: instructions" in refused.stderr
    assert _elsewhere(work_folder, *asked, "--other_machine=retrain").returncode == 0
    there = _elsewhere(work_folder, f"--run={folder}", "--verify")
    assert there.returncode == 0 and "equal, bit for bit" in there.stdout, there.stdout


def _elsewhere(folder, *given):
    command = [sys.executable, "-c", "import sys; from recbole_apa.cli.main import main; sys.exit(main(sys.argv[1:]))"]
    place = {"PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **OTHER_PROCESSOR, **place}
    return subprocess.run([*command, *given], cwd=folder, env=environment, capture_output=True, text=True)
