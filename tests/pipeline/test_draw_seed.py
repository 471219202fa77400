"""A run with a draw of its own."""

import pytest

from recbole_apa import audit, run, unlearn, verify
from recbole_apa.core.files.whole import read_json
from recbole_apa.core.option_table import identifying
from recbole_apa.runs.identity import RunIdentity


def ids(made):
    return {s.sample_id for part in made.data.parts for s in part.samples}


def test_a_run_without_a_draw_of_its_own_is_identified_as_before(finished):
    """Else a training that an older version began could not be resumed."""
    manifest = read_json(finished.run_dir / "manifest.json")
    assert "draw_seed" not in manifest["settings"] and manifest["options"]["draw_seed"] is None
    settings = finished.model.settings
    later = {"draw_seed": None, "evidence_models": [], "evidence_past": "all", "evidence_values": "labels"}
    later |= {"evidence_content": "columns", "evidence_text": None, "history_offset": False, "shard_slices": 1}
    assert {**identifying(settings), **later} == settings.flat() and not later.keys() & identifying(settings).keys()
    parts = {name: manifest[name] for name in ("dataset", "dataset_sums", "backbone", "draw")}
    same = RunIdentity(settings=identifying(settings), options={}, **parts)
    assert same.digest() == manifest["identity_digest"]


@pytest.mark.slow
def test_a_run_with_another_draw_forgets_and_proves_it(options, finished, tmp_path):
    given = {**options, "train_samples": 20, "valid_samples": 6, "test_samples": 6, "epochs": 1}
    plain = run("APA", "board", config_dict={**given, "variants": "none"}, run_dir=tmp_path / "plain")
    made = run("APA", "board", config_dict={**given, "draw_seed": 3}, run_dir=tmp_path / "run")
    assert ids(made) != ids(plain) and len(ids(made)) == len(ids(plain)) == 32
    assert read_json(tmp_path / "run" / "manifest.json")["settings"]["draw_seed"] == 3
    for level, user in (("inherited", "u3"), ("fresh", "u4")):
        unlearn(tmp_path / "run", users=[user], exactness=level)
        assert audit(tmp_path / "run").findings == []
    assert verify(tmp_path / "run").holds
    left = run("APA", "board", config_dict={**given, "draw_seed": 3, "variants": "none"}, run_dir=tmp_path / "again")
    assert ids(left) == ids(made)
