"""Digests of runs from before there were keys are keyed by one command."""

import json
import os
import shutil

import pytest

from recbole_apa import audit, evaluate_run, unlearn
from recbole_apa.cli.main import main
from recbole_apa.core.errors import KeyFileError, RequestError, RunError
from recbole_apa.data.forgotten import Digester
from recbole_apa.evidence import key_ring
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.ledger_lines import KEYED, REQUEST
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.key_digests import convert
from tests.helpers.folder_text import folder_text
from tests.helpers.old_runs import OLD, PLACES, expected, new_differences
from tests.helpers.runs import lasting, tree


@pytest.fixture
def old_run(tmp_path):
    return shutil.copytree(OLD / "forgotten" / "run", tmp_path / "old")


@pytest.mark.slow
def test_digests_of_an_old_run_are_keyed_by_one_command(old_run, key_file, capsys):
    store = RunStore(old_run)
    manifest, ledger = store.manifest(), Ledger(old_run, store.salt)
    salted = set(manifest["forgotten"]) | {d for e in ledger.requests() for d in e.content["names"]}
    salted |= {manifest["dataset"], manifest["identity_digest"], ledger.head(), manifest["draw"]["train"]}
    salted |= {e.digest for e in ledger.entries()}
    state = {name: digest for name, digest in tree(old_run).items() if name in manifest["files"]}
    times, head = [(e.kind, e.time) for e in ledger.entries()], ledger.head()
    assert main([f"--run={old_run}", "--key_digests"]) == 0
    assert "all digests of what was forgotten are now keyed" in capsys.readouterr().out
    text = folder_text(old_run)
    assert salted and not [digest for digest in salted if digest in text]
    after = Ledger(old_run, store.salt).entries()
    assert [(e.kind, e.time) for e in after[:-1]] == times and after[-1].kind == KEYED
    assert after[-1].content["head"] == key_ring().newest().keyed(head)
    assert {name: tree(old_run)[name] for name in state} == state
    assert audit(old_run, PLACES).findings == []
    opened = evaluate_run(old_run, PLACES)
    found, then = lasting(opened.metrics), lasting(expected("forgotten")["metrics"])
    assert {name: found.get(name) for name in then} == pytest.approx(then, abs=1e-5)  # figures by users came later
    assert not convert(old_run)
    key_file.unlink()
    with pytest.raises(KeyFileError):
        evaluate_run(old_run, PLACES)


@pytest.mark.slow
@pytest.mark.parametrize("step", [5, 1])
def test_keying_that_is_killed_anywhere_goes_on(step, old_run, key_file, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    key_ring().rotate()
    whole = shutil.copytree(old_run, tmp_path / "whole")
    convert(whole)
    done, at = False, 0
    while not done:
        folder = shutil.copytree(old_run, tmp_path / f"at{at}")
        left = [at]

        def counted(original, left=left):
            def operation(*args, **kwargs):
                if left[0] == 0:
                    raise Killed
                left[0] -= 1
                return original(*args, **kwargs)

            return operation

        with monkeypatch.context() as patch:
            for name in ("replace", "unlink", "rmdir", "fsync"):
                patch.setattr(os, name, counted(getattr(os, name)))
            try:
                convert(folder)
                done = True
            except Killed:
                at += step
        if at % 7 == 3:
            there = {name: digest for name, digest in tree(folder).items() if not name.startswith(".lock")}
            known = [
                {name: digest for name, digest in tree(f).items() if not name.startswith(".lock")}
                for f in (old_run, whole)
            ]
            assert audit(folder, PLACES).findings or there in known, at
        convert(folder)
        assert tree(folder) == tree(whole), at
    assert at > 20


@pytest.mark.slow
def test_a_request_that_waited_in_an_old_run_is_keyed_and_carried_out(old_run, key_file):
    store = RunStore(old_run)
    ledger = Ledger(old_run, store.salt)
    digester = Digester(store.salt)
    opened = evaluate_run(old_run, PLACES)
    rows = opened.data[0]._dataset.interactions
    keys = [digester.of(rows.row_key(r)) for r in range(len(rows)) if rows.users[r] == "u7"]
    content = {"interactions": sorted(keys), "names": [digester.of("user u7")]}
    ledger.append(REQUEST, {**content, "exactness": "inherited", "method": "exact"})
    with pytest.raises(RequestError, match="--resume"):
        convert(old_run)
    unlearn(old_run, config_dict=PLACES)
    text = folder_text(old_run)
    assert keys and not [key for key in keys if key in text]
    assert audit(old_run, PLACES).findings == [] and not new_differences(old_run, "forgotten")


@pytest.mark.quick(1)
@pytest.mark.parametrize("change", ["manifest", "ledger", "file"])
def test_keying_does_not_make_a_changed_run_look_certified(change, old_run, key_file):
    """Digests made anew over an edited manifest would have hidden the edit from every later audit."""
    if change == "manifest":
        value = json.loads((old_run / "manifest.json").read_text())
        value["full_training"]["seconds"] = 1.0
        (old_run / "manifest.json").write_text(json.dumps(value, indent=1, sort_keys=True) + "\n")
    elif change == "ledger":
        lines = (old_run / "ledger.jsonl").read_text().splitlines(True)
        (old_run / "ledger.jsonl").write_text("".join(lines[:-2]))
    else:
        (old_run / "metrics.json").write_text((old_run / "metrics.json").read_text().replace("0.", "0.1", 1))
    before = tree(old_run)
    with pytest.raises(RunError, match=r"changed|do not add up to"):
        convert(old_run)
    assert {name: digest for name, digest in tree(old_run).items() if not name.startswith(".lock")} == before
    assert not key_file.exists()
