"""Unlearning that is broken on purpose, and files that are changed afterwards: audit and verification find them."""

import pytest

from recbole_apa import audit, evaluate_run, unlearn, verify
from recbole_apa.core.errors import RunError
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.runs.store import RunStore
from tests.helpers.runs import copy_run, shown_interaction, tree


@pytest.mark.slow
def test_a_memory_that_is_not_touched_is_found(finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    pair = shown_interaction(finished)
    with monkeypatch.context() as patch:
        patch.setattr(ReusableState, "_same", lambda self, name, sample: sample.sample_id in self._seen[name])
        unlearn(folder, interactions=[pair])
    assert any(d.startswith("memory.safetensors") for d in verify(folder).differences)


def test_an_adapter_that_is_not_trained_again_is_found(finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(
            RunStore, "finished_shard", lambda self, k, key, or_moved=False: None if self.base else self.load_shard(k)
        )
        unlearn(folder, users=["u3"])
    assert any("was trained on other samples" in f for f in audit(folder).findings)
    assert any("adapter_model" in d for d in verify(folder).differences)


@pytest.mark.slow
def test_a_leftover_file_is_found(folder):
    assert audit(folder).holds
    for leftover in ("cache/states.bin", "shards/000/old.safetensors", ".memory.tmp", "shards/.001.tmp/x", "x.log"):
        path = folder / leftover
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"u3:i2:3007")
        findings = audit(folder).findings
        assert any(leftover.split("/")[0] in f for f in findings), leftover
        assert any("names 1 forgotten interactions" in f for f in findings), leftover
        path.unlink()
        if path.parent.name not in ("000", "run"):
            path.parent.rmdir()
    assert audit(folder).holds


@pytest.mark.slow
def test_every_file_that_is_changed_afterwards_is_found(folder):
    names = [n for n in tree(folder) if not n.startswith(".lock") and "figures" not in n]
    assert len(names) > 15
    for name in names:
        path = folder / name
        content = path.read_bytes()
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
        assert not audit(folder).holds, name
        if name in ("memory.safetensors", "shards/001/adapter_model.safetensors"):
            assert f"{name} was changed after it was written" in verify(folder).differences[0]
        path.write_bytes(content)
    assert audit(folder).holds


@pytest.mark.slow
def test_a_manifest_that_was_edited_is_refused_before_another_request_would_hide_it(folder):
    """The request was carried out, and the audit held afterwards."""
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"seed": 1', '"seed": 2', 1))
    before = tree(folder)
    for attempt in (lambda: unlearn(folder, users=["u4"]), lambda: evaluate_run(folder)):
        with pytest.raises(RunError, match="was changed after the last request or addition was carried out"):
            attempt()
    assert tree(folder) == before


@pytest.mark.parametrize(("entry", "value"), [("forgotten", 0), ("served_requests", [])])
def test_a_manifest_that_counts_or_names_other_requests_is_refused(entry, value, folder):
    """Its own digest is right, and so is the ledger."""
    store = RunStore(folder)
    store.write_manifest({**store.manifest(), entry: value})
    before = tree(folder)
    with pytest.raises(RunError, match=r"do not add up to what manifest\.json says is forgotten"):
        unlearn(folder, users=["u4"])
    assert tree(folder) == before
    assert audit(folder).findings


@pytest.mark.quick(1)
@pytest.mark.parametrize("left", ["nothing", "first request"])
def test_a_ledger_that_was_lost_or_shortened_stops_further_requests(left, folder):
    """A request at the position of a lost one was closed undone."""
    ledger = folder / "ledger.jsonl"
    whole = ledger.read_bytes()
    unlearn(folder, users=["u4"])
    if left == "nothing":
        ledger.unlink()
    else:
        ledger.write_bytes(whole)
    before = tree(folder)
    with pytest.raises(RunError, match=r"do not add up to what manifest\.json says is forgotten"):
        unlearn(folder, users=["u5"])
    assert tree(folder) == before
