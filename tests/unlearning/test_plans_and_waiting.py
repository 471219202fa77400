"""What a request would do is shown beforehand; what waits is finished first; a second process is told."""

import pytest

from recbole_apa import audit, evaluate_run, unlearn
from recbole_apa.core.errors import RequestError, RunError, SettingsError
from tests.helpers.runs import copy_run, shown_interaction, state, tree


def interrupted(*given):
    raise KeyboardInterrupt


def test_the_plan_says_which_samples_and_why_and_changes_nothing(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    before = tree(folder)
    user, item = shown_interaction(finished)
    target = next(s for s in finished.data[0]._dataset.samples if s.user_id != user)
    result = unlearn(folder, interactions=[(user, item), (target.user_id, target.item_id)], dry_run=True)
    assert not result.outcomes
    reasons = {a.sample_id: a.reason for a in result.plan.affected}
    assert reasons[target.sample_id] == "its target is forgotten"
    held = [s for s in finished.data[1]._dataset.samples if (user, item) in {(s.user_id, e.item_id) for e in s.history}]
    assert held and all(reasons[s.sample_id] == "its history showed a forgotten interaction" for s in held)
    assert tree(folder) == before


@pytest.mark.slow
def test_dry_run_under_strict_names_the_shards_that_change(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    plan = unlearn(folder, users=["u3"], exactness="strict", dry_run=True).plan
    before = state(folder)
    unlearn(folder, users=["u3"], exactness="strict")
    after = state(folder)
    changed = {
        int(n.split("/")[1]) for n in before.keys() | after.keys() if "model" in n and before.get(n) != after.get(n)
    }
    assert changed == set(plan.shards)


@pytest.mark.slow
def test_while_a_request_waits_evaluation_refuses(finished, tmp_path, monkeypatch, caplog):
    folder = copy_run(finished, tmp_path / "run")
    before = evaluate_run(folder).metrics
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            "recbole_apa.model.fit.ShardBuilder.adapters", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        unlearn(folder, users=["u3"])
    with pytest.raises(RunError, match=r"1 request\(s\) wait.*--resume.*--allow_pending"):
        evaluate_run(folder)
    assert any("waits to be carried out" in f for f in audit(folder).findings)
    old = evaluate_run(folder, allow_pending=True).metrics
    assert old["pending_requests"] == 1 and "PENDING" in caplog.text
    assert old["test.aggregated.decomposition.logloss"] == before["test.aggregated.decomposition.logloss"]
    # the next request finishes the one that waits first
    result = unlearn(folder, items=["i2"])
    assert [o.requests for o in result.outcomes] == [[1], [3]]
    assert audit(folder).holds and evaluate_run(folder).metrics["test.n_samples"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{"users": ["u3"]}, {}], ids=["the same user", "nothing else"])
def test_a_stricter_request_for_what_waits_is_not_taken_for_done(asked, finished, tmp_path, monkeypatch):
    """It was dropped with status 0, and could never be asked for again."""
    folder = copy_run(finished, tmp_path / "run")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            "recbole_apa.model.fit.ShardBuilder.adapters", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        unlearn(folder, users=["u3"])
    before = tree(folder)
    for manner in ({"exactness": "strict"}, {"exactness": "fresh"}, {"method": "GradDiff"}):
        with pytest.raises(
            RequestError, match=r"line 1 of the ledger is waiting.*with exactness inherited.*--resume alone"
        ):
            unlearn(folder, **asked, **manner)
    after = {name: digest for name, digest in tree(folder).items() if not name.startswith(".lock")}
    assert after == {name: digest for name, digest in before.items() if not name.startswith(".lock")}
    unlearn(folder, users=["u3"])
    assert audit(folder).holds


def test_nothing_asked_and_nothing_waiting_is_said(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    with pytest.raises(RequestError, match="found no request"):
        unlearn(folder)
    with pytest.raises(SettingsError, match="expected inherited, strict or fresh"):
        unlearn(folder, users=["u3"], exactness="roughly")


def test_the_second_process_is_told_who_holds_the_run(finished, tmp_path):
    from recbole_apa.runs.lock import run_lock

    folder = copy_run(finished, tmp_path / "run")
    with (
        run_lock(folder, "unlearning"),
        pytest.raises(RunError, match=r"in use by process \d+ on .* since 20.*unlearning"),
    ):
        unlearn(folder, users=["u3"])
    assert unlearn(folder, users=["u3"], dry_run=True).plan.affected
