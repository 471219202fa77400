"""The ledger survives being cut anywhere, and shows every change."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recbole_apa.core.errors import RunError
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.ledger_lines import DONE, REQUEST
from recbole_apa.runs.lock import run_lock


def filled(folder):
    ledger = Ledger(folder, "salt")
    ledger.append(REQUEST, {"interactions": ["ab"]})
    ledger.append(DONE, {"requests": [1]})
    ledger.append(REQUEST, {"interactions": ["cd"]})
    return ledger


def test_lines_are_chained_and_waiting_is_what_is_not_done(tmp_path):
    ledger = filled(tmp_path)
    entries = ledger.entries()
    assert [(e.position, e.kind) for e in entries] == [(1, REQUEST), (2, DONE), (3, REQUEST)]
    assert [e.content["previous"] for e in entries[1:]] == [e.digest for e in entries[:-1]]
    assert [e.position for e in ledger.waiting()] == [3]
    assert ledger.head() == entries[-1].digest
    assert Ledger(tmp_path / "none", "salt").entries() == []


def test_cut_anywhere_only_whole_lines_count_and_writing_goes_on(tmp_path):
    filled(tmp_path)
    whole = (tmp_path / "ledger.jsonl").read_bytes()
    ends = [i + 1 for i, c in enumerate(whole) if c == 10]
    for cut in range(len(whole)):
        path = tmp_path / "ledger.jsonl"
        path.write_bytes(whole[:cut])
        ledger = Ledger(tmp_path, "salt")
        n = sum(end <= cut for end in ends)
        assert len(ledger.entries()) == n
        if cut % 37 == 0:
            ledger.append(REQUEST, {"interactions": []})
            assert len(ledger.entries()) == n + 1
            assert path.read_bytes().startswith(whole[: ([0, *ends])[n]])


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_change_to_a_line_is_seen(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("ledger")
    filled(folder)
    path = folder / "ledger.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    how = data.draw(st.sampled_from(["drop", "swap", "edit", "repeat"]))
    at = data.draw(st.integers(0, 1))
    if how == "drop":
        del lines[at]
    elif how == "swap":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    elif how == "repeat":
        lines.insert(at, lines[at])
    else:
        lines[at] = lines[at].replace(b'"time": "2', b'"time": "1')
    path.write_bytes(b"".join(lines))
    with pytest.raises(RunError, match="does not follow from the line before"):
        Ledger(folder, "salt").entries()


def test_a_ledger_of_another_run_does_not_fit(tmp_path):
    filled(tmp_path)
    with pytest.raises(RunError, match="line 1"):
        Ledger(tmp_path, "other").entries()


def test_a_full_disk_is_named_and_nothing_is_taken(tmp_path, monkeypatch):
    ledger = filled(tmp_path)
    before = (tmp_path / "ledger.jsonl").read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(RunError, match=r"no space left.*the request was not accepted"):
        patch.setattr("os.fsync", full)
        ledger.append(REQUEST, {"interactions": []})
    assert (tmp_path / "ledger.jsonl").read_bytes() == before


def test_the_lock_lets_one_in_and_leaves_no_trace_in_other_folders(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with run_lock(tmp_path / "mine", "testing"):
        holder = json.loads((tmp_path / "mine" / ".lock-holder.json").read_text())
        assert holder["purpose"] == "testing"
        with (
            pytest.raises(RunError, match=r"in use by process \d+ on .* since .* \(testing\)"),
            run_lock(tmp_path / "mine", "again"),
        ):
            pass
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    with run_lock(tmp_path / "new", "testing"):
        pass
    assert not (tmp_path / "new").exists()
