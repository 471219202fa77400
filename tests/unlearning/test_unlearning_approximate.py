"""Requests carried out approximately: said so everywhere, and undone by the next exact one."""

import pytest

from recbole_apa import audit, evaluate_run, unlearn, verify
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.plan import plan_text
from tests.helpers.runs import copy_run, shown_interaction, state, tree


def adapters(folder):
    return {name: digest for name, digest in state(folder).items() if name.endswith("adapter_model.safetensors")}


def moved(folder):
    """Shards that the audit calls moved."""
    return {f.split()[0] for f in audit(folder).findings if "was moved by" in f}


def _only_elsewhere(finished, shards):
    """User and item of a rating that none of some shards has seen."""
    shard_of, seen = finished.trainer.partition.shard_of, {}
    for sample in finished.data[0]._dataset.samples:
        for pair in [(sample.user_id, sample.item_id), *((sample.user_id, e.item_id) for e in sample.history)]:
            seen.setdefault(pair, set()).add(shard_of[sample.sample_id])
    return next(pair for pair, those in sorted(seen.items()) if not those & set(shards))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["NPO", "E2URec", "LLMEraser"])
def test_affected_adapters_are_moved_and_every_paper_says_so(method, finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    before = adapters(folder)
    result = unlearn(folder, interactions=[shown_interaction(finished)], method=method)
    changed = {name.rsplit("/", 1)[0] for name, digest in adapters(folder).items() if digest != before[name]}
    assert changed == {f"shards/{k:03d}" for k in result.plan.shards} and len(changed) < 3
    certificate = read_json(result.certificates[0])
    assert certificate["title"] == f"Certificate of approximate unlearning ({method})"
    assert certificate["method"] == method and not certificate["bit_exact"]
    page = result.certificates[0].with_suffix(".html").read_text()
    assert "was moved by an approximate method" in page and "bit for bit" not in page
    assert moved(folder) == changed and len(audit(folder).findings) == len(changed)
    assert {d.split("/")[1] for d in verify(folder).differences if "adapter_model" in d} == {
        name.split("/")[1] for name in changed
    }


@pytest.mark.slow
def test_nothing_but_the_adapters_remembers(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    exact = copy_run(finished, tmp_path / "exact")
    unlearn(folder, users=["u3"], method="GradDiff")
    unlearn(exact, users=["u3"])
    mine, theirs = state(folder), state(exact)
    for name in ("partition.json", "lineage.json", "embeddings.safetensors"):
        assert mine[name] == theirs[name]
    assert all(s.user_id != "u3" for s in evaluate_run(folder).data[0]._dataset.samples)


@pytest.mark.slow
@pytest.mark.parametrize("exactness", ["inherited", pytest.param("strict", marks=pytest.mark.slow)])
def test_the_plan_of_an_exact_request_names_the_shards_that_were_moved(exactness, finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    first = unlearn(folder, interactions=[shown_interaction(finished)], method="NPO").plan
    asked = _only_elsewhere(finished, first.shards)
    plan = unlearn(folder, interactions=[asked], exactness=exactness, dry_run=True).plan
    result = unlearn(folder, interactions=[asked], exactness=exactness)
    assert plan.shards == result.plan.shards == result.outcomes[0].result.trainer.record.trained
    assert set(first.shards) < set(plan.shards) and plan.moved == first.shards
    sizes = result.outcomes[0].result.trainer.record.sizes
    assert plan.n_train_samples == sum(sizes[k] for k in plan.shards)
    says = ", ".join(f"{k:03d}" for k in first.shards)
    assert f"  {says}: moved by an approximate method before; an exact request trains it again" in plan_text(plan)
    approximate = unlearn(folder, users=["u3"], method="NPO", dry_run=True).plan
    assert not approximate.moved and "moved by" not in plan_text(approximate)


@pytest.mark.slow
def test_an_exact_request_afterwards_trains_what_was_moved(finished, tmp_path):
    folder, exact = (copy_run(finished, tmp_path / name) for name in ("run", "exact"))
    unlearn(folder, interactions=[shown_interaction(finished)], method="NPO")
    assert moved(folder)
    unlearn(folder, users=["u5"])
    assert audit(folder).holds and verify(folder).holds
    unlearn(exact, interactions=[shown_interaction(finished)])
    unlearn(exact, users=["u5"])
    assert state(folder) == state(exact)


@pytest.mark.slow
def test_a_second_approximate_request_leaves_a_moved_shard_alone(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    first = unlearn(folder, interactions=[shown_interaction(finished)], method="NPO").plan.shards
    before = adapters(folder)
    second = unlearn(folder, interactions=[_only_elsewhere(finished, first)], method="GradDiff").plan.shards
    changed = {int(name.split("/")[1]) for name, digest in adapters(folder).items() if digest != before[name]}
    assert changed == set(second)
    assert moved(folder) == {f"shards/{k:03d}" for k in {*first, *second}}


@pytest.mark.slow
def test_interrupted_it_goes_on_as_it_was_asked(finished, tmp_path, monkeypatch):
    folder, undisturbed = (copy_run(finished, tmp_path / name) for name in ("run", "undisturbed"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            "recbole_apa.unlearning.exact.evaluate_state", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        unlearn(folder, users=["u3"], method="SimNPO")
    result = unlearn(folder)
    unlearn(undisturbed, users=["u3"], method="SimNPO")
    assert read_json(result.certificates[0])["method"] == "SimNPO"
    assert state(folder) == state(undisturbed)
    (entry,) = Ledger(folder, RunStore(folder).manifest()["salt"]).requests()
    assert entry.content["method"] == "SimNPO"


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"method": "Wish"}, "unlearn_method: found 'Wish', expected exact or one of GradAscent"),
        ({"method": "NPO", "exactness": "strict"}, "strict needs unlearn_method: exact"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(asked, says, finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    before = tree(folder)
    with pytest.raises(SettingsError, match=says):
        unlearn(folder, users=["u3"], **asked)
    assert tree(folder) == before
