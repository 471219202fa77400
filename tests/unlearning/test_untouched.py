"""Requests from the index alone leave what the long way leaves, byte for byte."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from recbole_apa import audit, evaluate_run, unlearn, verify
from recbole_apa.core.errors import RequestError, RunError
from recbole_apa.core.files.whole import read_json
from recbole_apa.evidence import key_ring
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.names import COLLABORATIVE_SCORES, COLLABORATIVE_SUMS, COMBINATION, METRICS
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning import collaborative, light_stage
from recbole_apa.unlearning.statistics_check import ALL, ANEW, CHANGES, SUBTRACTED
from recbole_apa.unlearning.texts import outcome_text
from tests.helpers.fresh_states import differences
from tests.helpers.fresh_states import state as whole_state
from tests.helpers.runs import copy_run, lasting, shown_interaction, state
from tests.helpers.unseen import unseen_rows

APART = {"boards", "files", "check", "outside"}
"""Entries of the manifest: times and logs of a training that one way does and the other does not."""


def long_way(monkeypatch):
    monkeypatch.setattr(light_stage, "open_light", lambda *args: None)


@pytest.mark.slow
def test_both_ways_leave_the_same_state(finished, tmp_path, monkeypatch):
    short, long = (copy_run(finished, tmp_path / name) for name in ("short", "long"))
    rows = unseen_rows(finished)[:3]
    for row in rows:
        outcome = unlearn(short, interactions=[row]).outcomes[0]
        assert not outcome.plan.affected and not outcome.n_trained
    with monkeypatch.context() as patch:
        long_way(patch)
        for row in rows:
            assert not unlearn(long, interactions=[row]).plan.affected
    found = differences(whole_state(short), whole_state(long))
    assert set(found) <= {f"manifest.json: {name}" for name in APART} | APART, found
    assert state(short) == state(long)
    noted = [RunStore(folder).manifest()["counted"] for folder in (short, long)]
    assert noted[0] == noted[1] != RunStore(finished.run_dir).manifest()["counted"]
    assert audit(short).holds and verify(short).holds


def page_of(outcome):
    return outcome.certificates[0].with_suffix(".html").read_text()


@pytest.mark.slow
def test_a_certificate_says_what_became_of_statistics(finished, tmp_path, monkeypatch):
    """Every request counts: one row of the training period less."""
    short, long = (copy_run(finished, tmp_path / name) for name in ("short", "long"))
    told = []
    for folder in (short, long):
        with monkeypatch.context() as patch:
            if folder == long:
                long_way(patch)
            (outcome,) = unlearn(folder, interactions=unseen_rows(finished)[:1]).outcomes
        told.append(read_json(outcome.certificates[0])["statistics"])
        assert told[-1] == asdict(outcome.statistics)
        page = page_of(outcome)
        assert "Collaborative statistics" in page and f"{told[-1]['rows']['after']} of" in page
        assert f"{told[-1]['rows']['after']:,} of" in outcome_text(outcome, str)
    assert [one.pop("how") for one in told] == [SUBTRACTED, ANEW] and told[0] == told[1]
    assert told[0].pop("compared") == ALL
    (later,) = unlearn(copy_run(finished, tmp_path / "more"), interactions=unseen_rows(finished)[:1]).outcomes
    (later,) = unlearn(tmp_path / "more", interactions=unseen_rows(finished)[1:2]).outcomes
    assert later.statistics.compared == CHANGES and "the parts of the index that changed" in page_of(later)
    manifest, key = RunStore(short).manifest(), key_ring({}).newest()
    assert told[0]["rows"] == {"before": manifest["counted"]["rows"] + 1, "after": manifest["counted"]["rows"]}
    assert told[0]["users"]["after"] == manifest["counted"]["users"]
    assert told[0]["items_compared"] == len(RunStore(short).open_index().items.names)
    before = RunStore(finished.run_dir).manifest()["counted"]["digest"]
    assert told[0]["digest"] == {"before": key.keyed(before), "after": key.keyed(manifest["counted"]["digest"])}


def test_statistics_are_loaded_once_and_before_the_ledger_has_the_request(finished, tmp_path, monkeypatch):
    folder, loaded = copy_run(finished, tmp_path / "run"), []
    load = collaborative.load_collaborative
    monkeypatch.setattr(collaborative, "load_collaborative", lambda *args: (loaded.append(args), load(*args))[1])
    unlearn(folder, interactions=unseen_rows(finished)[:1])
    assert len(loaded) == 1
    folder = copy_run(finished, tmp_path / "damaged")
    (folder / COLLABORATIVE_SUMS).write_bytes(b"no tensors")
    RunStore(folder).seal({})
    with pytest.raises(RunError, match=r"sums\.safetensors is damaged"):
        unlearn(folder, interactions=unseen_rows(finished)[:1])
    assert not (folder / "ledger.jsonl").exists()


@pytest.mark.slow
def test_the_long_way_goes_on_after_the_short_one(finished, tmp_path, monkeypatch):
    mixed, long = (copy_run(finished, tmp_path / name) for name in ("mixed", "long"))
    row, other = unseen_rows(finished)[:2]
    for folder in (mixed, long):
        with monkeypatch.context() as patch:
            if folder == long:
                long_way(patch)
            unlearn(folder, interactions=[row])
            unlearn(folder, users=["u3"])
            unlearn(folder, interactions=[other])
    assert state(mixed) == state(long)
    assert audit(mixed).holds, audit(mixed).findings
    with pytest.raises(RequestError, match="was forgotten before"):
        unlearn(mixed, interactions=[row])


@pytest.mark.parametrize("asked", [{"users": ["u3"]}, {"items": ["i4"]}, {"users": ["u1", "u2"], "items": ["i7"]}])
def test_both_ways_plan_the_same(asked, finished, tmp_path, monkeypatch):
    folder = copy_run(finished, tmp_path / "run")
    short = unlearn(folder, **asked, dry_run=True).plan
    long_way(monkeypatch)
    long = unlearn(folder, **asked, dry_run=True).plan
    assert short.affected
    # samples of a split may be listed in another order
    assert sorted(map(str, short.affected)) == sorted(map(str, long.affected))
    short.affected = long.affected = []
    assert short == long


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"users": ["nobody"]}, "no such user in the data"),
        ({"interactions": [("u3", "i19", 5)]}, "no such interaction"),
        ({"users": [f"u{n}" for n in range(12)]}, "no data to train on"),
    ],
)
def test_refusals_are_those_of_the_long_way(asked, says, finished, tmp_path, monkeypatch):
    folder, found = copy_run(finished, tmp_path / "run"), []
    for _ in range(2):
        with pytest.raises(RequestError, match=says) as caught:
            unlearn(folder, **asked)
        found.append(str(caught.value))
        long_way(monkeypatch)
    assert not Ledger(RunStore(folder).storage, RunStore(folder).salt).entries()
    if "no data" not in says:
        assert found[0] == found[1]


@pytest.mark.slow
def test_a_dry_run_loads_neither_torch_nor_recbole(finished, tmp_path):
    folder, row = copy_run(finished, tmp_path / "run"), unseen_rows(finished)[0]
    code = (
        "import json, sys\n"
        "from recbole_apa import unlearn\n"
        f"plan = unlearn({str(folder)!r}, interactions=[{row!r}], dry_run=True).plan\n"
        "heavy = [n for n in ('torch', 'recbole', 'transformers', 'sklearn', 'pandas', 'plotly') if n in sys.modules]\n"
        "print(json.dumps([plan.n_interactions, heavy]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=900)
    assert json.loads(done.stdout.splitlines()[-1]) == [1, []]


@pytest.mark.slow
def test_an_affected_sample_takes_the_long_way(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    outcome = unlearn(folder, interactions=[shown_interaction(finished)]).outcomes[0]
    assert outcome.plan.affected and outcome.n_trained


@pytest.mark.slow
def test_rows_older_than_prompts_are_subtracted_without_the_model(finished, tmp_path, monkeypatch):
    """Sums are those of the long way; no figure of what was counted before stays."""
    short, long = (copy_run(finished, tmp_path / name) for name in ("short", "long"))
    row = unseen_rows(finished)[0]
    before = (short / COLLABORATIVE_SUMS).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("recbole_apa.pipeline.build.open_run", lambda *args, **how: pytest.fail("not light"))
        unlearn(short, interactions=[row])
    long_way(monkeypatch)
    unlearn(long, interactions=[row])
    assert (short / COLLABORATIVE_SUMS).read_bytes() != before
    for name in (COLLABORATIVE_SUMS, COLLABORATIVE_SCORES, COMBINATION):
        assert (short / name).read_bytes() == (long / name).read_bytes()
    figures = (lasting(json.loads((folder / METRICS).read_text())) for folder in (short, long))
    short_figures, long_figures = ({k: v for k, v in f.items() if "evidence" in k} for f in figures)
    assert short_figures == long_figures and any("slices" in k for k in short_figures)
    folders = (finished.run_dir, short, long)
    before, kept, of_long = (json.loads((folder / METRICS).read_text()) for folder in folders)
    assert before.keys() >= short_figures.keys()
    names = {name for name in before if name.startswith("recbole.")}
    assert {name.split(".")[1] for name in names} == {"valid", "test"}
    shown = evaluate_run(short).metrics
    assert {name: kept[name] for name in names} == {name: of_long[name] for name in names}
    assert {name: kept[name] for name in names & shown.keys()} == {name: shown[name] for name in names & shown.keys()}
    assert {name for name in names if name in shown} >= {name for name in names if ".test." in name}
