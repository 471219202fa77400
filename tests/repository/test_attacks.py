"""Kills and odd request files, a few of each in the default suite; ``python -m benchmarks.attacks.kills`` and
``benchmarks.attacks.requests`` have them all."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.attacks.kills import summary
from benchmarks.attacks.operations import BEFORE, HALF, watch
from benchmarks.attacks.processes import run_forked
from benchmarks.attacks.record import Record
from benchmarks.attacks.request_cases import draw_case, is_gone, make_rows
from benchmarks.attacks.request_oracle import Oracle
from benchmarks.attacks.requests import FORGOTTEN, RAISED, REFUSED, compare
from recbole_apa import audit, evaluate_run, run, unlearn
from recbole_apa.core.errors import RequestError, RunError
from recbole_apa.core.files.whole import write_json
from recbole_apa.data.samples import Interactions
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.requests.lookup import find, read_demands
from tests.helpers.places import ROOT
from tests.helpers.runs import copy_run

ROWS = [row for row in make_rows() if not is_gone(row)]
TABLE = Interactions(
    [row[0] for row in ROWS],
    [row[1] for row in ROWS],
    np.ones(len(ROWS), dtype=int),
    np.array([row[3] for row in ROWS]),
    np.array([row[2] for row in ROWS]),
)
NAMES = st.sampled_from(["user_id", "item_id", "timestamp", "rating", "user", "", "user_id:token", "label"])
WORDS = st.one_of(st.sampled_from(["u3", "007", "7", "c,d", "i1", "2", "", '"', "5", "103"]), st.text(max_size=4))
QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _what_comes_of(data, ending, folder, columns=None, skip=False):
    """As benchmarks.attacks.requests, but for the run around it: what is looked up in the rows, or raised."""
    path = folder / f"r{ending}"
    path.write_bytes(data)
    try:
        found = find(read_demands(path, columns or None), TABLE, lambda demand: False, skip)
    except RequestError as error:
        return REFUSED, str(error)
    except Exception as error:  # whatever else is raised is what the tests look for
        return RAISED, repr(error)
    return FORGOTTEN, Counter(ROWS[n] for n in found.rows)


def _unlike_the_oracle(data, ending, folder, columns=None, skip=False):
    verdict = Oracle(ROWS, columns or {}, skip).judge(data, ending)
    return compare(verdict, ROWS, *_what_comes_of(data, ending, folder, columns, skip))


@pytest.mark.parametrize(
    ("ending", "text", "rows"),
    [
        (".csv", "user_id,item_id\nu3,\n", [row for row in ROWS if row[0] == "u3"]),
        (".csv", 'user_id,item_id\n,"c,d"\n', [row for row in ROWS if row[1] == "c,d"]),
        (".jsonl", '{"user_id": 7}\n', [row for row in ROWS if row[0] == "7"]),
        (".inter", "user_id:token\nu3\nu3\n", None),
        (".csv", "user_id,item\nu3,i1\n", None),
        (".csv", "user_id,item_id,timestamp\nu3,,5\n", None),
        (".jsonl", '{"user_id": "u3", "user_id": "7"}\n', None),
    ],
)
def test_the_oracle_says_what_the_readme_says(ending, text, rows, tmp_path):
    """It can be wrong as well: known answers, and a reading that is wider is told apart."""
    verdict = Oracle(ROWS).judge(text.encode(), ending)
    assert rows is None or len(rows) > 1
    assert (verdict.rows is None) == (rows is None)
    everything = Counter(ROWS)
    assert compare(verdict, ROWS, FORGOTTEN, everything).startswith("wider")
    if rows is not None:
        assert compare(verdict, ROWS, FORGOTTEN, Counter(rows)) == ""
        assert compare(verdict, ROWS, FORGOTTEN, Counter(rows[1:])).startswith("narrower")
        assert compare(verdict, ROWS, REFUSED, "no").startswith("refused although")
    assert compare(verdict, ROWS, RAISED, "ValueError").startswith("raised")
    assert _unlike_the_oracle(text.encode(), ending, tmp_path) == ""


@pytest.mark.quick("100")
@pytest.mark.parametrize("n", [100, 1000])
def test_odd_files_come_to_what_a_second_reading_says_or_are_refused(n, tmp_path):
    came = Counter()
    for number in range(n):
        case = draw_case(number, make_rows())
        why = _unlike_the_oracle(case.data, case.ending, tmp_path, case.columns, case.skip)
        assert not why, (number, case, why)
        came[_what_comes_of(case.data, case.ending, tmp_path, case.columns, case.skip)[0]] += 1
    assert came[FORGOTTEN] > 0.15 * n and came[REFUSED] > 0.5 * n


@QUICK
@given(names=st.lists(NAMES, min_size=1, max_size=4), lines=st.lists(st.lists(WORDS, max_size=4), max_size=4))
def test_any_table_is_refused_or_comes_to_the_rows_that_a_second_reading_finds(names, lines, tmp_path):
    for ending, mark in ((".csv", ","), (".inter", "\t")):
        data = "\n".join(mark.join(words) for words in (names, *lines)).encode("utf-8", "surrogatepass")
        assert _unlike_the_oracle(data, ending, tmp_path) == "", data


VALUES = st.one_of(WORDS, st.integers(-5, 110), st.floats(), st.booleans(), st.none(), st.lists(WORDS, max_size=2))


@QUICK
@given(lines=st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=3))
def test_any_json_lines_are_refused_or_come_to_the_rows_that_a_second_reading_finds(lines, tmp_path):
    data = "".join(json.dumps(line) + "\n" for line in lines).encode()
    assert _unlike_the_oracle(data, ".jsonl", tmp_path) == "", data


@QUICK
@given(data=st.binary(max_size=60), ending=st.sampled_from([".csv", ".jsonl", ".inter"]))
def test_any_bytes_are_refused_or_come_to_the_rows_that_a_second_reading_finds(data, ending, tmp_path):
    assert _unlike_the_oracle(data, ending, tmp_path) == ""
    assert _unlike_the_oracle(b"user_id,item_id\nu3,i1\n" + data, ending, tmp_path) == ""


def test_a_whole_number_that_is_spelled_otherwise_is_no_id(tmp_path):
    """``-0`` was read as the user 0, who was forgotten."""
    assert _what_comes_of(b'{"user_id": 0}\n', ".jsonl", tmp_path)[0] == FORGOTTEN
    what, says = _what_comes_of(b'{"user_id": -0}\n', ".jsonl", tmp_path)
    assert what == REFUSED and "line 1: found user_id -0.0, expected a string or a whole number" in says


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_run_folder_with_any_bytes_changed_serves_nothing(data, finished, tmp_path):
    folder = tmp_path / "run"
    if not folder.exists():
        copy_run(finished, folder)
    name = data.draw(st.sampled_from(sorted(RunStore(folder).manifest()["files"])))
    path = folder / name
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    new = data.draw(st.binary(max_size=3).filter(lambda found: found != whole[at : at + 1]))
    path.write_bytes(whole[:at] + new + whole[at + 1 :])
    try:
        with pytest.raises(RunError, match=f"{name} was changed after it was written"):
            RunStore(folder).check()
        assert any(f"{name} was changed" in found for found in audit(folder).findings)
    finally:
        path.write_bytes(whole)
    assert RunStore(folder).check()["status"] == "complete"


@pytest.mark.slow
def test_a_training_killed_before_its_records_serves_nothing_and_takes_no_request(options, tmp_path, monkeypatch):
    """Until its last seal a run does not say where its exports lie: a request left them as they were, and the audit
    held."""
    folder, exported = tmp_path / "run", tmp_path / "exported"
    told = {**options, "epochs": 1, "export_samples": str(exported)}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("recbole_apa.pipeline.quick_start.evaluate_state", _interrupted)
        run("APA", "board", config_dict=told, run_dir=folder)
    for attempt in (lambda: unlearn(folder, users=["u3"]), lambda: evaluate_run(folder)):
        with pytest.raises(RunError, match=r"training was interrupted; finish it with --run_dir="):
            attempt()
    assert not audit(folder).holds
    run("APA", "board", config_dict=told, run_dir=folder)
    unlearn(folder, users=["u3"])
    assert audit(folder).holds and '"u3"' not in (exported / "train.jsonl").read_text()


@pytest.mark.slow
def test_a_training_killed_while_it_begins_is_begun_again_by_the_same_command(options, tmp_path, monkeypatch):
    """Killed between manifest and ``.gitattributes`` a run never got the latter, and kept half of it."""
    folder, write = tmp_path / "run", os.replace
    begun = []

    def replace(old, new):
        begun.extend({Path(new).name} & {"manifest.json", ".gitattributes"})
        if len(begun) == 2:
            raise KeyboardInterrupt
        write(old, new)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("recbole_apa.core.files.whole.os.replace", replace)
        run("APA", "board", config_dict={**options, "epochs": 1}, run_dir=folder)
    assert set(begun) == {"manifest.json", ".gitattributes"}
    run("APA", "board", config_dict={**options, "epochs": 1}, run_dir=folder)
    assert (folder / ".gitattributes").is_file() and not list(folder.rglob(".*.tmp"))


def _interrupted(*args):
    raise KeyboardInterrupt


def _attack(name, *words):
    """A process of its own: it forks, and may not have computed a gradient before."""
    command = [sys.executable, "-m", f"benchmarks.attacks.{name}", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def _ends(tmp_path, write):
    """What a file holds after a writer of it was killed at each of its operations in turn, and in the middle of each
    write."""
    target = tmp_path / "there" / "value.json"

    def played(at=None, manner=BEFORE):
        found = watch([target.parent], at, manner)
        write(target)
        return found.seen

    target.parent.mkdir()
    target.write_text('"old"')
    operations = run_forked(played, tmp_path).value
    assert json.loads(target.read_text()) == "new" and len(operations) >= 2
    out = []
    for at in range(1, len(operations) + 1):
        for manner in (BEFORE, HALF):
            target.write_text('"old"')
            ended = run_forked(lambda at=at, manner=manner: played(at, manner), tmp_path)
            assert ended.killed and not ended.error
            out.append(target.read_text())
    return out


def test_the_kills_tell_whole_files_from_files_written_in_place(tmp_path):
    """An attack that sees nothing would pass every run."""
    assert set(_ends(tmp_path, lambda target: write_json(target, "new"))) == {'"old"', '"new"\n'}
    (tmp_path / "other").mkdir()
    in_place = _ends(tmp_path / "other", lambda target: target.write_text('"new"'))
    assert "" in in_place and '"n' in in_place


def test_a_process_that_hangs_or_raises_is_told_apart_from_one_that_was_killed(tmp_path):
    assert run_forked(lambda: 7, tmp_path).value == 7
    assert "hung" in run_forked(lambda: time.sleep(60), tmp_path, seconds=0.2).error
    raised = run_forked(lambda: 1 // 0, tmp_path)
    assert not raised.killed and "ZeroDivisionError" in raised.error


@pytest.mark.slow
def test_kills_at_some_operations_lose_nothing_and_go_on_where_they_stopped(tmp_path):
    out = tmp_path / "kills.jsonl"
    words = [f"--out={out}", "--stages=resume the switch", "--n=3"]
    done = _attack("kills", *words)
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    first = out.read_bytes()
    with open(out, "ab") as file:
        file.write(b'{"case": "cut o')
    again = _attack("kills", *words[:2], "--n=4")
    assert again.returncode == 0 and out.read_bytes().startswith(first)
    record = Record(out)
    assert len(record.known) == 4 and not any(line["lost"] for line in record.lines)
    assert "| resume the switch | 4     | 0    |" in summary(record)


@pytest.mark.slow
@pytest.mark.soak
def test_kills_in_every_stage_lose_nothing(tmp_path):
    done = _attack("kills", f"--out={tmp_path / 'kills.jsonl'}", "--n=60")
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_requests_through_a_whole_run_are_refused_or_come_to_the_rows_that_a_second_reading_finds(tmp_path):
    done = _attack("requests", f"--out={tmp_path / 'requests.jsonl'}", "--n=500", "--seed=1")
    assert done.returncode == 0, done.stdout
