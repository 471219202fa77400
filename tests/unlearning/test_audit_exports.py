"""Exports outside the run are compared with what the run gives."""

import json
import shutil
from pathlib import Path

import pytest

from recbole_apa import audit, evaluate_run
from recbole_apa.data.export import sample_record
from recbole_apa.runs.store import RunStore


@pytest.fixture
def exported(finished, served, tmp_path):
    """A run with an export beside it, both as a training leaves them."""
    run = Path(shutil.copytree(finished.run_dir, tmp_path / "run"))
    from recbole_apa.pipeline.evaluate import write_export
    from recbole_apa.runs.outside import mark

    opened = evaluate_run(run)
    write_export(tmp_path / "export", opened.model, opened.data)
    store = RunStore(run)
    mark(tmp_path / "export", store.salt, store.home)
    manifest = store.manifest()
    store.write_manifest({**manifest, "outside": {**manifest["outside"], "exports": [str(tmp_path / "export")]}})
    assert audit(run).findings == []
    return run, tmp_path / "export" / "train.jsonl"


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r | {"label": 1 - r["label"]}, "label is not what the run has"),
        (lambda r: r | {"target": "Another Film"}, "target is not"),
        (lambda r: r | {"user_id": "u1 "}, "user_id is not"),
        (lambda r: r | {"prompt": r["prompt"] + " Yes"}, "prompt is not"),
        (lambda r: r | {"history": r["history"][:-1]}, "an export of a sample that was dropped or rewritten"),
        (lambda r: r | {"history": [[i, "x", label] for i, _, label in r["history"]]}, "dropped or rewritten"),
        (lambda r: r | {"note": "u3"}, "note is not"),
        (lambda r: {k: v for k, v in r.items() if k != "label"}, "label is not"),
        (lambda r: [], "not an exported sample"),
    ],
)
def test_each_row_of_an_export_is_what_the_run_gives(change, says, exported):
    run, path = exported
    lines = path.read_text().splitlines()
    lines[1] = json.dumps(change(json.loads(lines[1])))
    path.write_text("\n".join(lines) + "\n")
    assert any("train.jsonl, line 2" in f and says in f for f in audit(run).findings)


@pytest.mark.quick(1)
@pytest.mark.parametrize("line", ["not JSON", "[" * 100_000, "9" * 5000, ""])
def test_a_line_of_an_export_that_is_no_json_is_named(line, exported):
    run, path = exported
    path.write_text(path.read_text() + line + "\n")
    assert any("train.jsonl, line 31: not an exported sample" in f for f in audit(run).findings)
    path.write_text(path.read_text()[:-20])
    assert any("train.jsonl does not end with a whole line" in f for f in audit(run).findings)


def test_an_export_that_lacks_a_sample_is_found(exported):
    run, path = exported
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    assert any("lacks 1 of the run's samples" in f for f in audit(run).findings)


def test_a_record_holds_what_the_audit_compares(finished):
    sample = finished.data[0]._dataset.samples[0]
    assert set(sample_record(sample, str, "p")) == {
        "sample_id",
        "user_id",
        "item_id",
        "label",
        "history",
        "target",
        "prompt",
    }
