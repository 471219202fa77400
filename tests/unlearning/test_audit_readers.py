"""Readers and audits see one state, whatever is written meanwhile."""

import os
import shutil
import threading

import pytest

from recbole_apa import audit, evaluate_run, unlearn
from recbole_apa.core.errors import RunError
from recbole_apa.runs.pinned_run import PinnedStore, read_settled
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning import commit as switching
from tests.helpers.runs import lasting


class Writer:
    """Carries out a request in the middle of somebody's reading, at a place that the test chooses."""

    def __init__(self, folder, monkeypatch, where):
        self.folder, self.calls = folder, 0
        target, name = where
        original = getattr(target, name)

        def overtaken(*args, **named):
            self.calls += 1
            if self.calls == 1:
                writing = threading.Thread(target=unlearn, args=(folder,), kwargs={"users": ["u5"]})
                monkeypatch.setattr(target, name, original)
                writing.start()
                writing.join()
            return original(*args, **named)

        monkeypatch.setattr(target, name, overtaken)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["load_partition", "load_memory", "lineage", "check"])
def test_a_reader_that_is_overtaken_reads_the_new_state(name, folder, monkeypatch):
    """The figures were of neither state."""
    Writer(folder, monkeypatch, (PinnedStore, name))
    seen = evaluate_run(folder)
    again = evaluate_run(folder)
    assert seen.trainer.record.tau == again.trainer.record.tau
    users = {s.user_id for part in seen.data[0]._dataset.splits.values() for s in part}
    assert "u5" not in users
    expected = lasting(again.metrics)
    assert {k: seen.metrics[k] for k in expected} == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", ["load_partition", "lineage", "memory_tensors", "load_shard"])
def test_an_audit_that_is_overtaken_starts_again(name, folder, monkeypatch):
    Writer(folder, monkeypatch, (PinnedStore, name))
    assert audit(folder).findings == []
    assert len(list((folder / "certificates").glob("*.json"))) == 2


@pytest.mark.slow
def test_an_audit_beside_a_writer_never_ends_in_another_error(folder, monkeypatch):
    """The audit looks at every step of the switch; what it says is a finding or a plain error."""
    said = []

    def looked_at(step):
        def look(*args, **named):
            out = step(*args, **named)
            try:
                said.append(audit(folder).findings)
            except RunError as error:
                said.append([str(error)])
            return out

        return look

    monkeypatch.setattr("recbole_apa.runs.pinned_run._PAUSE", 0)
    for name in ("replace", "rename"):
        monkeypatch.setattr(switching.os, name, looked_at(getattr(os, name)))
    unlearn(folder, users=["u5"])
    monkeypatch.undo()
    assert len(said) > 5 and all(said[1:-1])
    assert said[0] == said[-1] == []  # before the request is taken, where the lock is, and once it is done
    assert audit(folder).holds


def test_bytes_that_are_read_are_those_of_the_manifest(folder):
    pinned = PinnedStore(folder)
    pinned.check()
    shutil.copyfile(folder / "embeddings.safetensors", folder / "memory.safetensors")
    with pytest.raises(RunError, match=r"memory\.safetensors was changed after it was written"):
        pinned.load_memory()


def test_a_reader_that_is_overtaken_each_time_says_so(folder, monkeypatch):
    monkeypatch.setattr("recbole_apa.runs.pinned_run._PAUSE", 0)
    n = iter(range(100))

    def moved(pinned):
        store = RunStore(folder)
        store.write_manifest({**store.manifest(), "code": str(next(n))})

    with pytest.raises(RunError, match="requests were carried out meanwhile, 5 times"):
        read_settled(RunStore(folder), moved)
