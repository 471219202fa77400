"""A request's time is compared with something that has a name."""

from dataclasses import replace

import pytest

from recbole_apa.core.files.whole import read_json
from recbole_apa.unlearning.certificate import write_again
from recbole_apa.unlearning.outcome import Outcome
from recbole_apa.unlearning.plan import Plan, plan_text, seconds_for
from recbole_apa.unlearning.texts import outcome_text

NOT_MEASURED = "Retraining a single model without shards, the other reference in use, was not measured in this run"


def outcome(seconds, full, n_trained, n_shards=4):
    return Outcome([1], Plan(1, n_shards=n_shards), [], {}, seconds, full, n_trained, lambda: None)


def page_of(folder, content, **changes):
    return write_again(folder, {**content, **changes})[1].read_text()


def test_a_certificate_says_what_its_ratio_is_of(served, tmp_path):
    content = read_json(served / "certificates" / "0001.json")
    seconds = content["seconds"]
    page = (served / "certificates" / "0001.html").read_text()
    assert f"{seconds['full_training'] / seconds['training']:.2f} times as long" in page
    assert "the first training of\neverything that this run holds (3 adapters" in page and NOT_MEASURED in page
    for changed in ({"seconds": {**seconds, "training": 0.0}}, {"shards": {**content["shards"], "trained": []}}):
        assert "times as long" not in page_of(tmp_path, content, **changed)
    assert NOT_MEASURED not in page_of(tmp_path, content, shards={**content["shards"], "total": 1})
    untimed = page_of(tmp_path, content, seconds={"training": 1.0, "full_training": None})
    assert "first training" not in untimed and "Training time 1.0 s." in untimed


def test_a_request_at_once_that_cuts_no_shard_short_is_from_no_prefix(served, tmp_path):
    """The certificate said that training ends, in each shard, before a slice that it did not name."""
    content = {**read_json(served / "certificates" / "0001.json"), "to_make": ["figures"]}
    cut = page_of(tmp_path, content, served={"000": {"served": 1, "total": 2}})
    whole = page_of(tmp_path, content, served={})
    assert "from a prefix" in cut and "from a prefix" not in whole and "all of every shard" in whole
    assert "what training on the remaining data gives" in " ".join(whole.split())
    text = outcome_text(replace(outcome(10.0, 40.0, 0), served={}), str)
    assert "served are all slices of all shards\n" in text and "other shards" not in text


def test_what_has_caught_up_since_is_not_said_to_wait():
    """A killed request at once that --catch_up carried out, then trained."""
    at_once = replace(outcome(10.0, 40.0, 0), served={"000": {"served": 1, "total": 2}})
    assert "served are 1 of 2 slices" in outcome_text(at_once, str) and "--catch_up" in outcome_text(at_once, str)
    told = outcome_text(at_once, str, has_caught_up=True)
    assert "caught up since" in told and "slices" not in told and "--catch_up" not in told


def test_a_report_has_the_runs_name(served):
    assert f"<title>{served.name}</title>" in (served / "report.html").read_text(), "it was called pending"


def test_the_text_after_a_request_says_what_its_ratio_is_of():
    told = outcome_text(outcome(10.0, 40.0, 1), str)
    assert (
        "10.0 s of training; the first training of the whole state took 40.0 s; ratio to retraining everything" in told
    )
    assert told.endswith("that this run holds: 4.00")
    assert "ratio" not in outcome_text(outcome(0.0, 40.0, 0), str)
    plan = Plan(1, n_shards=4, seconds=10.0, full_seconds=40.0)
    assert "the first training of everything that this run holds took 40 s" in plan_text(plan)


def test_the_estimate_of_a_request_by_hand():
    cost = {"seconds": 60.0, "memory_seconds": 8.0, "shard_seconds": [20.0, 30.0], "shard_samples": [5, 5]}
    assert seconds_for(4, 1, 2, cost) == pytest.approx(4 * 5 + 4)
    assert seconds_for(4, 1, 2, {**cost, "seconds": 0.0}) is None
    assert seconds_for(4, 1, 2, {**cost, "shard_seconds": [0.0, 0.0]}) is None
