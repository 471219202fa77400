"""Drafts of a run: aligned, kept in files of their own, deleted before anything else, proved."""

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import file_digest
from recbole_apa.next_item import title_training
from recbole_apa.next_item.generation.item_network import ItemNetwork
from recbole_apa.next_item.run import session
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import open_next_items
from tests.helpers.next_item_runs import train


@pytest.fixture(scope="module", params=["exit", "model"])
def made(request, next_options, work_folder):
    """A run of each kind of draft."""
    more = {"adapters": "titles", "adapter_layers": 1, "adapter_rank": 2, "title_users": 0}
    more |= {"draft_objective": "atspeed-r", "draft_beams": 2, "draft_epochs": 2, "draft_learning_rate": 0.01}
    more |= {"draft_kind": request.param, "draft_model_size": 4, "draft_model_learning_rate": 0.01}
    return train(next_options, work_folder / f"draft_run_{request.param}", **more)


def drafts_of(folder: Path) -> set[str]:
    """The files of drafts in the state in force."""
    store = NextItemStore(folder)
    state = store.state_folder(store.manifest())
    return {path.relative_to(state).as_posix() for path in (state / "drafts").iterdir()}


def with_draft(folder: Path, name: str, source: Path) -> None:
    """Put a file in the place of a draft, as if the run had written it."""
    store = NextItemStore(folder)
    manifest = store.manifest()
    path = store.state_folder(manifest) / name
    path.write_bytes(source.read_bytes())
    manifest["files"][name] = file_digest(path)
    store.put_in_force(manifest)


ALL = {f"drafts/00{k}.safetensors" for k in range(3)}


def test_a_request_deletes_the_hit_shards_draft_before_anything_is_trained(folder, monkeypatch):
    assert drafts_of(folder) == ALL
    seen, real = [], title_training.TitleTrainer._step

    def watched(*arguments):
        seen.append(drafts_of(folder))
        return real(*arguments)

    monkeypatch.setattr(title_training.TitleTrainer, "_step", watched)
    result = forget_next_items(folder, users=["u5"])
    hit = {f"drafts/{shard:03d}.safetensors" for shard in result.change.shards}
    assert len(hit) == 1 and seen and all(found == ALL - hit for found in seen)
    assert drafts_of(folder) == ALL and audit_next_items(folder).findings == []
    assert verify_next_items(folder).differences == []


@pytest.mark.slow
def test_killed_between_deletion_and_training_the_draft_stays_away(folder, monkeypatch):
    before = {name: (folder / "state-0001" / name).read_bytes() for name in ALL}

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session.Session, "_retrained", killed)
        with pytest.raises(KeyboardInterrupt):
            forget_next_items(folder, users=["u5"])
    left = drafts_of(folder)
    (hit,) = ALL - left
    assert NextItemStore(folder).manifest()["state"] == "state-0001"
    with pytest.raises(RunError, match="--resume"):
        open_next_items(folder)
    assert any("--resume" in finding for finding in audit_next_items(folder).findings)
    assert len(forget_next_items(folder).certificates) == 1
    assert drafts_of(folder) == ALL
    assert {name for name in ALL if (folder / "state-0002" / name).read_bytes() != before[name]} == {hit}
    assert audit_next_items(folder).holds and verify_next_items(folder).differences == []


def test_a_missing_draft_is_found_where_no_request_waits(folder):
    (folder / "state-0001" / "drafts" / "001.safetensors").unlink()
    assert any("drafts/001.safetensors is missing" in finding for finding in audit_next_items(folder).findings)
    with pytest.raises(RunError, match="is missing"):
        open_next_items(folder)


@pytest.mark.slow
def test_a_stale_draft_is_found_by_audit(folder, made):
    """The draft of before the request, put back: as it is, under the manifest's seal, and beside the ledger's."""
    forget_next_items(folder, users=["u5"])
    old = {name: made.folder / "state-0001" / name for name in ALL}
    state = folder / "state-0002"
    stale = next(name for name in sorted(ALL) if old[name].read_bytes() != (state / name).read_bytes())
    for name, text in ((stale, "digest differs"), ("drafts/007.safetensors", "not listed in the manifest")):
        kept = (state / name).read_bytes() if (state / name).exists() else None
        (state / name).write_bytes(old[stale].read_bytes())
        assert any(text in finding for finding in audit_next_items(folder).findings)
        (state / name).unlink() if kept is None else (state / name).write_bytes(kept)
    assert audit_next_items(folder).holds
    with_draft(folder, stale, old[stale])
    assert any("manifest.json was changed" in finding for finding in audit_next_items(folder).findings)


@pytest.mark.slow
def test_a_stale_draft_whose_digest_fits_is_found_by_its_lineage(folder, made, tmp_path):
    """A run that never forgot has no seal in its ledger; the draft is of the same shard with other users."""
    other = Path(shutil.copytree(made.folder, tmp_path / "other"))
    shard = forget_next_items(other, users=["u5"]).change.shards[0]
    name = f"drafts/{shard:03d}.safetensors"
    with_draft(folder, name, other / "state-0002" / name)
    assert audit_next_items(folder).findings == [
        f"the draft of shard {shard} was trained for another adapter, or on other sequences"
    ]
    found = verify_next_items(folder).differences
    numbers = "tensors.exit_map" if made.options.settings.draft_kind == "exit" else "tensors"  # many of a model's
    assert set(found) == {f"learnt.drafts.{shard}.{part}" for part in (numbers, "lineage")}


@pytest.mark.slow
def test_a_draft_with_other_numbers_is_found_by_verification(folder, tmp_path):
    tensors = load_file(folder / "state-0001" / "drafts" / "002.safetensors")
    name = next(name for name in sorted(tensors) if name in ("exit_map", "items"))
    tensors[name][0, 0] += 1e-6
    save_file(tensors, tmp_path / "other.safetensors")
    with_draft(folder, "drafts/002.safetensors", tmp_path / "other.safetensors")
    assert audit_next_items(folder).holds
    assert verify_next_items(folder).differences == [f"learnt.drafts.2.tensors.{name}"]


def test_a_damaged_draft_is_refused(folder, tmp_path):
    whole = load_file(folder / "state-0001" / "drafts" / "000.safetensors")
    name = next(name for name in sorted(whole) if name in ("exit_map", "items"))
    nothing, narrow = dict(whole), {**whole, name: whole[name][:, :-1].contiguous()}
    del nothing["lineage"]
    cases = [nothing, {**whole, "other": whole["lineage"].clone()}]
    for tensors in [*cases, narrow] if name == "items" else cases:
        save_file(tensors, tmp_path / "other.safetensors")
        with_draft(folder, "drafts/001.safetensors", tmp_path / "other.safetensors")
        with pytest.raises(RunError, match=r"001\.safetensors"):
            open_next_items(folder)


@pytest.mark.parametrize(("n_items", "length"), [(17, 6), (18, 5)])
def test_a_model_of_another_catalogue_or_length_or_beside_exits_is_refused(folder, made, tmp_path, n_items, length):
    text = {"exit": "000.safetensors holds 'bias'", "model": "do not fit together"}[made.options.settings.draft_kind]
    lineage = load_file(folder / "state-0001" / "drafts" / "000.safetensors")["lineage"]
    save_file({**ItemNetwork(n_items, length, 4).tensors(), "lineage": lineage}, tmp_path / "other.safetensors")
    with_draft(folder, "drafts/000.safetensors", tmp_path / "other.safetensors")
    with pytest.raises(RunError, match=text):
        open_next_items(folder)


@pytest.mark.slow
def test_drafts_of_runs_from_before_they_had_files_are_read(next_options, tmp_path):
    more = {"adapters": "titles", "adapter_layers": 1, "adapter_rank": 2, "title_users": 0}
    run = train(next_options, tmp_path / "run", **more)
    store = NextItemStore(run.folder)
    manifest = store.manifest()
    state = store.state_folder(manifest)
    for k in range(3):
        draft, adapter = state / f"drafts/00{k}.safetensors", state / f"adapters/00{k}.safetensors"
        save_file({**load_file(adapter), "exit_map": load_file(draft)["exit_map"]}, adapter)
        manifest["files"][f"adapters/00{k}.safetensors"] = file_digest(adapter)
        del manifest["files"][f"drafts/00{k}.safetensors"]
        draft.unlink()
    (state / "drafts").rmdir()
    store.put_in_force(manifest)
    assert audit_next_items(run.folder).holds and verify_next_items(run.folder).differences == []
    forget_next_items(run.folder, users=["u5"])
    assert drafts_of(run.folder) == ALL and verify_next_items(run.folder).differences == []


@pytest.mark.parametrize("kind", ["exit", "model"])
@pytest.mark.slow
def test_drafts_of_codes_are_aligned_and_proved(next_options, work_folder, monkeypatch, kind):
    more = {"adapters": "codes", "code_levels": 2, "code_size": 3, "adapter_layers": 1, "adapter_rank": 2}
    more |= {"title_users": 0, "draft_objective": "atspeed-s", "draft_beams": 2, "draft_epochs": 1}
    more |= {"draft_kind": kind, "draft_student": 0.5}
    made = train(next_options, work_folder / f"draft_codes_{kind}", **more)
    assert drafts_of(made.folder) == ALL and made.state.codes is not None
    forget_next_items(made.folder, users=["u5"])
    audit = audit_next_items(made.folder)
    assert audit.findings == [] and any("sequences or codes" in line and "drafts" in line for line in audit.checked)
    with monkeypatch.context() as patch:
        patch.chdir(work_folder)
        verified = verify_next_items(made.folder)
    assert verified.holds and {"codes", "drafts"} <= set(verified.compared)
