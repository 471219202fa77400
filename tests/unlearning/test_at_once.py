"""Forgotten at once: nothing is trained, what is served has never seen it; caught up, the run is what the plain way
leaves."""

import shutil
from collections import Counter

import pytest

from recbole_apa import add, audit, catch_up, evaluate_run, predict, run, unlearn, verify
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.collaborative import ALONE
from recbole_apa.comparison.requests import shards_of_interactions
from recbole_apa.core.errors import RequestError, RunError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.names import METRICS, PREFIXES, REPORT, TO_MAKE
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.texts import result_text
from tests.helpers.killed_process import fresh_copy
from tests.helpers.pieces import count_training
from tests.helpers.runs import state
from tests.helpers.sliced import assert_holds, close_again, pair_in, spots

MODELS = {"evidence": ["counts", "FM"], "variants": "chosen", "baselines": [], "epochs": 1}


def plain_and_at_once(sliced, tmp_path, **asked):
    """The same request in both ways: two folders, and the results."""
    made = []
    for name, at_once in (("plain", False), ("at_once", True)):
        place = fresh_copy(sliced.run_dir, tmp_path / name)
        made.append((place, unlearn(place, **asked, at_once=at_once)))
    return made


def served_of(certificate):
    return certificate["served"].values()


def kinds(folder):
    return [e.kind for e in Ledger(folder, RunStore(folder).salt).entries()]


@pytest.mark.quick("first")
@pytest.mark.parametrize("which", ["first", "last"])
def test_a_request_at_once_trains_nothing_and_catches_up_to_the_same_bytes(which, sliced, tmp_path, monkeypatch):
    pair = pair_in(sliced, which)
    (plain, _), (place, result) = plain_and_at_once(sliced, tmp_path, interactions=[pair])
    store = RunStore(place)
    assert not store.has(METRICS) and not store.has(REPORT) and not (place / "figures").exists()
    assert store.manifest()[TO_MAKE] == ["metrics.json", "report.html", "figures"]
    told = read_json(result.certificates[0])
    assert told["title"].endswith("(inherited), from a prefix") and told["shards"]["trained"] == []
    page = result.certificates[0].with_suffix(".html").read_text()
    assert told["seconds"]["training"] == 0.0 and told["seconds"]["without_training"] > 0
    assert "Training time" not in page and "none of it training" in page and "times as long" not in page
    assert ("it has no adapter until then" in page) == any(not n["served"] for n in served_of(told))
    text = result_text(result)
    assert "s, none of it training" in text and "s of training" not in text and "trained again\n" not in text
    assert told["to_make"] == store.manifest()[TO_MAKE] and told["slices"]["trained"] == 0
    prefixes, served = store.load_prefixes(), told["served"]
    assert prefixes and set(served) == {f"{k:03d}" for k in prefixes}
    touched = {a.shard for a in result.plan.affected if a.split == "train"}
    assert set(prefixes) <= touched and all(n["served"] < n["total"] for n in served.values())
    assert {k: (n["served"], n["total"]) for k, n in served.items()} == {
        f"{k:03d}": result.plan.slices[k] for k in prefixes
    }
    for shard, end in prefixes.items():
        folder_of = place / f"shards/{shard:03d}"
        assert folder_of.is_dir() == bool(served[f"{shard:03d}"]["served"])
        lineage = store.lineage().get(f"shards/{shard:03d}", {})
        members = [s for cut, part in spots(sliced)[shard].items() if cut < end.cut for s in part]
        assert set(lineage) == {s.sample_id for s in members if (s.user_id, s.item_id) != pair}
    assert_holds(place)
    seen = count_training(monkeypatch)
    done = catch_up(place)
    assert len(seen) == done.caught_up.n_slices == result.plan.n_slices
    assert "APA" in done.caught_up.result.table, "figures are made now, and shown"
    assert f"figures and report: {place / REPORT}" in result_text(done)
    assert f"<title>{place.name}</title>" in (place / REPORT).read_text(), "it was called pending"
    assert {shard for shard, _ in seen} == set(prefixes) == set(done.caught_up.trained)
    assert state(place) == state(plain) and kinds(place) == ["request", "done", "caught_up", "done"]
    manifests = [RunStore(at).manifest() for at in (place, plain)]
    for name in ("partition_of", "centres_of", "draw_of", "exactness", "forgotten", "identity_digest", "counted"):
        assert manifests[0].get(name) == manifests[1].get(name), name
    assert TO_MAKE not in manifests[0] and PREFIXES not in manifests[0]["files"]
    assert_holds(place)
    with pytest.raises(RequestError, match="nothing to catch up with"):
        catch_up(place)


@pytest.mark.slow
def test_a_shard_that_loses_its_last_slice_counts_as_trained_nowhere(sliced, tmp_path):
    """All that is left of it was trained before: neither way takes a step for it."""
    shard, cuts = next((k, of) for k, of in sorted(spots(sliced).items()) if len(of) > 1)
    users = sorted({s.user_id for s in cuts[max(cuts)]})
    (_, plain), (place, at_once) = plain_and_at_once(sliced, tmp_path, users=users)
    told = [read_json(result.certificates[0]) for result in (plain, at_once)]
    assert shard in plain.plan.slices and plain.plan.slices[shard].kept == plain.plan.slices[shard].total
    assert shard not in told[0]["shards"]["trained"] and told[1]["shards"]["trained"] == []
    assert told[0]["slices"]["trained"] == plain.plan.n_slices and told[1]["slices"]["trained"] == 0
    assert_holds(place)


def test_no_training_step_is_taken(sliced, copied, monkeypatch, caplog):
    seen = count_training(monkeypatch)
    unlearn(copied, users=["u3"], at_once=True)
    assert seen == []
    result = evaluate_run(copied)
    assert "test.n_samples" in result.metrics
    caplog.clear()
    assert 0 <= predict(copied, "u5", "i4").score <= 1
    assert "after a request at once, training ends early" in caplog.text


@pytest.mark.slow
def test_a_second_request_scores_the_memory_with_what_it_changes_alone(sliced, copied, monkeypatch):
    """A prefix that goes on being served keeps its column; rewritten rows are scored with every adapter."""
    samples, shard_of = sliced.data.train_set.samples, sliced.trainer.partition.shard_of
    unlearn(copied, interactions=[pair_in(sliced, "last")], at_once=True)
    first = set(RunStore(copied).load_prefixes())
    pairs = shards_of_interactions(samples, shard_of)
    pair = next(p for p, shards in sorted(pairs.items()) if not shards & first)
    scored, real = Counter(), ScoringEngine.adapter_scores

    def adapter_scores(self, prompts, which=None):
        scored.update({k: len(prompts) for k in which})
        return real(self, prompts, which)

    monkeypatch.setattr(ScoringEngine, "adapter_scores", adapter_scores)
    plan = unlearn(copied, interactions=[pair], at_once=True).plan
    monkeypatch.undo()
    n_rewritten, changed = plan.count("valid", "rewritten"), set(RunStore(copied).load_prefixes()) - first
    n_rows = len(RunStore(copied).lineage()["memory.safetensors"])
    assert changed and n_rewritten < n_rows
    assert all(scored[k] == n_rewritten for k in first) and all(scored[k] in (0, n_rows) for k in changed)
    assert_holds(copied)


@pytest.mark.slow
def test_the_next_request_trains_what_is_missing(sliced, tmp_path):
    (plain, _), (place, _) = plain_and_at_once(sliced, tmp_path, interactions=[pair_in(sliced, "last")])
    for at in (plain, place):
        result = unlearn(at, users=["u3"])
    assert result.plan.n_slices >= len(result.plan.slices) > 0
    assert state(place) == state(plain)
    assert_holds(place)


@pytest.mark.slow
def test_two_requests_at_once_and_an_addition(sliced, tmp_path):
    (plain, _), (place, _) = plain_and_at_once(sliced, tmp_path, interactions=[pair_in(sliced, "last")])
    unlearn(plain, users=["u3"])
    unlearn(place, users=["u3"], at_once=True)
    assert_holds(place)
    whole = fresh_copy(place, tmp_path / "whole")
    catch_up(whole)
    assert state(whole) == state(plain)
    added = [(user, f"i{k}", 2 + 3 * (k % 2), 90_000 + k) for user in ("u5", "new") for k in range(12)]
    for at in (plain, place):
        add(at, added)
    assert_holds(place)
    unlearn(place, users=["new"], at_once=True)
    assert_holds(place)
    catch_up(place)
    unlearn(plain, users=["new"])
    assert {k: v for k, v in state(place).items() if "shards/" in k} == {
        k: v for k, v in state(plain).items() if "shards/" in k
    }


@pytest.mark.slow
def test_catching_up_with_workers(sliced, tmp_path):
    (plain, _), (place, _) = plain_and_at_once(sliced, tmp_path, users=["u3", "u7"])
    catch_up(place, {"workers": 2})
    assert state(place) == state(plain)


@pytest.mark.slow
def test_a_run_without_an_adapter_left_serves_evidence_or_nothing(finished, uncounted, tmp_path):
    """Without slices a request at once switches every affected shard off."""
    users = sorted({s.user_id for s in finished.data.train_set.samples})
    by_shard = {}
    for sample in finished.data.train_set.samples:
        by_shard.setdefault(finished.trainer.partition.shard_of[sample.sample_id], []).append(sample)
    pairs = [(part[0].user_id, part[0].item_id) for part in by_shard.values()]
    assert len(by_shard) == 3 and len(users) > 3
    counted = fresh_copy(finished.run_dir, tmp_path / "counted")
    outcome = unlearn(counted, interactions=pairs, at_once=True).outcomes[0]
    assert not list((counted / "shards").glob("*")) and not outcome.serves_nothing
    assert outcome.result.trainer.combined.served == ALONE
    assert_holds(counted)
    assert 0 <= predict(counted, "u5", "i4").score <= 1
    bare = fresh_copy(uncounted.run_dir, tmp_path / "bare")
    assert unlearn(bare, interactions=pairs, at_once=True).outcomes[0].serves_nothing
    assert_holds(bare)
    for what in (evaluate_run, lambda at: predict(at, "u5", "i4")):
        with pytest.raises(RunError, match="no adapter and no evidence left to serve"):
            what(bare)
    catch_up(bare)
    plain = fresh_copy(uncounted.run_dir, tmp_path / "plain")
    unlearn(plain, interactions=pairs)
    assert state(bare) == state(plain)


@pytest.mark.slow
def test_without_evidence_no_validation_sample_is_scored_by_the_mixture(uncounted, tmp_path, monkeypatch):
    """Its figures are made later, and nothing else needs these scores."""
    place, seen, real = fresh_copy(uncounted.run_dir, tmp_path / "run"), [], ScoringEngine.scores
    monkeypatch.setattr(ScoringEngine, "scores", lambda *args: seen.append(args) or real(*args))
    unlearn(place, users=["u3"], at_once=True)
    assert not seen
    monkeypatch.undo()
    assert_holds(place)


def test_what_has_to_train_is_not_done_at_once(copied):
    before = state(copied)
    for asked in ({"exactness": "strict"}, {"method": "NPO"}, {"other_machine": "retrain"}):
        with pytest.raises(SettingsError, match="at_once needs"):
            unlearn(copied, users=["u3"], at_once=True, **asked)
    assert state(copied) == before and kinds(copied) == []


def test_an_audit_finds_a_point_that_was_not_deleted(sliced, copied):
    unlearn(copied, interactions=[pair_in(sliced, "last")], at_once=True)
    shard, end = next(iter(RunStore(copied).load_prefixes().items()))
    name = f"{end.piece:02d}.{end.cut:02d}"
    source = sliced.run_dir / f"shards/{shard:03d}"
    shutil.copytree(source / f"points/{name}", copied / f"shards/{shard:03d}/points/{name}")
    RunStore(copied).seal({})
    findings = audit(copied).findings
    assert f"shards/{shard:03d}/points/{name} is a point before a piece that the shard does not have" in findings


@pytest.mark.slow
def test_an_audit_finds_an_adapter_that_was_not_replaced(sliced, copied):
    unlearn(copied, interactions=[pair_in(sliced, "last")], at_once=True)
    store = RunStore(copied)
    shard = next(iter(store.load_prefixes()))
    for name in ("adapter_model.safetensors", "training.json"):
        shutil.copyfile(sliced.run_dir / f"shards/{shard:03d}/{name}", copied / f"shards/{shard:03d}/{name}")
    store.seal({})
    close_again(copied)
    assert f"shards/{shard:03d} was trained on other samples than its lineage says" in audit(copied).findings
    verified = verify(copied)
    assert any(f"shards/{shard:03d}" in found for found in verified.differences)
    assert "ends early, before the slices that prefixes.json names" in verified.means


def test_an_audit_finds_prefixes_that_are_not_named(sliced, copied):
    unlearn(copied, interactions=[pair_in(sliced, "last")], at_once=True)
    store = RunStore(copied)
    store.save_prefixes({})
    store.seal({})
    findings = audit(copied).findings
    assert any("it saw other samples than the data gives now" in found for found in findings)
    assert any("was trained on other samples than its lineage says" in found for found in findings)


def test_an_audit_finds_prefixes_of_which_nothing_is_to_be_made(sliced, copied):
    """Catching up would say that every shard is trained to its end, and the prefixes would be served for ever."""
    unlearn(copied, interactions=[pair_in(sliced, "last")], at_once=True)
    store = RunStore(copied)
    manifest = store.manifest()
    store.write_manifest({name: value for name, value in manifest.items() if name != TO_MAKE})
    close_again(copied)
    assert audit(copied).findings == [
        "prefixes.json names shards that lack slices, but manifest.json says of nothing that it is to be made"
    ]
    store.write_manifest({**manifest, TO_MAKE: [*manifest[TO_MAKE], "shards"]})
    close_again(copied)
    assert audit(copied).findings == ["shards is there, although manifest.json says that it is to be made"]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["kept", "models"])
def test_activations_exports_and_models_of_the_evidence(what, options, tmp_path):
    """What was kept of the person is gone at once; a model that was not trained again says nothing until then."""
    changes = {"kept": {"keep_states": True, "export_samples": str(tmp_path / "export")}, "models": MODELS}[what]
    made = run("APA", "board", config_dict={**options, "shard_slices": 3, **changes}, run_dir=tmp_path / "run")
    plain = fresh_copy(made.run_dir, tmp_path / "plain") if what == "models" else None  # an export has one run
    outcome = unlearn(made.run_dir, users=["u3"], at_once=True).outcomes[0]
    if what == "models":
        terms = outcome.result.trainer.combined.fitted.scores
        assert not terms["valid.FM"].any() and not terms["test.FM"].any()
    else:
        assert not any('"u3"' in path.read_text() for path in (tmp_path / "export").iterdir())
        assert RunStore(made.run_dir).has("states.safetensors")
    assert_holds(made.run_dir)
    done = catch_up(made.run_dir)
    if plain:
        unlearn(plain, users=["u3"])
        assert state(made.run_dir) == state(plain)
        assert done.caught_up.result.trainer.combined.fitted.scores["valid.FM"].any()
    assert_holds(made.run_dir)
