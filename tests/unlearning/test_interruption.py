"""Killed at any instant, a run ends with the bytes of an undisturbed one: nothing forgotten served, nothing lost."""

import random
from pathlib import Path

import pytest

from recbole_apa import audit, unlearn
from recbole_apa.core.errors import APAError
from recbole_apa.core.files.whole import read_json
from recbole_apa.runs.ledger import Ledger, refuse_pending
from recbole_apa.runs.names import COLLABORATIVE, COLLABORATIVE_SCORES, COLLABORATIVE_SUMS, COMBINATION
from recbole_apa.runs.store import RunStore
from tests.helpers.killed_process import fresh_copy
from tests.helpers.kills import completed, end_of, killed, some
from tests.helpers.runs import copy_run, shown_interaction, state
from tests.helpers.unseen import unseen_rows


@pytest.fixture(scope="module")
def undisturbed(finished, server, tmp_path_factory, work_folder):
    asked = {"users": ["u3"], "interactions": [shown_interaction(finished)]}
    return end_of(asked, finished, server, tmp_path_factory.mktemp("undisturbed"), work_folder)


@pytest.fixture(scope="module")
def untouched(finished, server, tmp_path_factory, work_folder):
    """As ``undisturbed``, of a request that changes no sample: no model is loaded for it."""
    asked = {"interactions": unseen_rows(finished)[:2]}
    return end_of(asked, finished, server, tmp_path_factory.mktemp("untouched"), work_folder)


@pytest.fixture(scope="module")
def addition(finished, server, tmp_path_factory, work_folder):
    """As ``undisturbed``, of interactions that join the run."""
    added = [(user, f"i{k}", 2 + 3 * (k % 2), 90_000 + k) for user in ("u3", "new") for k in range(12)]
    return end_of({"added": added}, finished, server, tmp_path_factory.mktemp("addition"), work_folder)


def check(run, asked, expected):
    ledger = completed(run, asked)
    assert state(run) == expected
    assert [e.kind for e in ledger.entries()] == ["added" if "added" in asked else "request", "done"]
    audited = audit(run)
    assert audited.holds, audited.findings
    assert not (run / "pending").exists() and not (run / "incoming").exists()


def refuses_or_is_whole(run, expected, old):
    """Between kill and resumption: the old state where nothing was acknowledged, a refusal, or the new state."""
    store = RunStore(run)
    try:
        refuse_pending(store)
        store.check()
    except APAError:
        return
    assert state(run) == expected or state(run) == old
    asked = bool(Ledger(run, store.manifest()["salt"]).entries())
    assert (state(run) == expected) == asked


def kill_everywhere(places, finished, undisturbed, server, tmp_path, work_folder):
    asked, expected, *_ = undisturbed
    old = state(finished.run_dir)
    for place in places:
        run = fresh_copy(finished.run_dir, tmp_path / "run")
        assert killed(server, run, work_folder, asked, **place), place
        refuses_or_is_whole(run, expected, old)
        check(run, asked, expected)


@pytest.mark.slow
def test_killed_at_some_boundaries(finished, undisturbed, server, tmp_path, work_folder):
    places = [{"kill_at": n} for n in some(undisturbed[2], 6)]
    kill_everywhere(places, finished, undisturbed, server, tmp_path, work_folder)


@pytest.mark.slow
def test_a_request_that_changes_no_sample_killed_at_some_boundaries(finished, untouched, server, tmp_path, work_folder):
    places = [{"kill_at": n} for n in some(untouched[2], 8)]
    kill_everywhere(places, finished, untouched, server, tmp_path, work_folder)


@pytest.mark.slow
def test_an_addition_killed_at_some_boundaries(finished, addition, server, tmp_path, work_folder):
    places = [{"kill_at": n} for n in some(addition[2], 8)]
    kill_everywhere(places, finished, addition, server, tmp_path, work_folder)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["untouched", "undisturbed", "addition"])
@pytest.mark.parametrize("name", [COLLABORATIVE_SUMS, COLLABORATIVE_SCORES, COMBINATION])
def test_killed_at_each_operation_on_statistics(what, name, request, finished, server, tmp_path, work_folder):
    """Before each file is complete, before it gets its name, and before it takes the old one's place."""
    case = request.getfixturevalue(what)
    own, temporary = f"/{name}", f"/{COLLABORATIVE}/.{Path(name).name}.tmp"
    at = [n for n, path in enumerate(case[4], start=1) if path.endswith((own, temporary))]
    assert any(case[4][n - 1].endswith(f"/pending{own}") for n in at) and len(at) >= 3
    kill_everywhere([{"kill_at": n} for n in at], finished, case, server, tmp_path, work_folder)


@pytest.mark.slow
@pytest.mark.soak
def test_an_addition_killed_at_every_boundary(finished, addition, server, tmp_path, work_folder):
    places = [{"kill_at": n} for n in range(1, addition[2] + 1)]
    assert len(places) >= 50
    kill_everywhere(places, finished, addition, server, tmp_path, work_folder)


@pytest.mark.slow
@pytest.mark.soak
def test_a_request_that_changes_no_sample_killed_at_every_boundary(finished, untouched, server, tmp_path, work_folder):
    places = [{"kill_at": n} for n in range(1, untouched[2] + 1)]
    assert len(places) >= 50
    kill_everywhere(places, finished, untouched, server, tmp_path, work_folder)


@pytest.mark.slow
@pytest.mark.soak
def test_killed_at_seventy_boundaries(finished, undisturbed, server, tmp_path, work_folder):
    places = [{"kill_at": n} for n in some(undisturbed[2], 70)]
    assert len(places) >= 50
    kill_everywhere(places, finished, undisturbed, server, tmp_path, work_folder)


@pytest.mark.slow
def test_killed_at_random_instants(finished, undisturbed, server, tmp_path, work_folder):
    asked, expected, _, seconds, _ = undisturbed
    random.seed(1)
    n_killed = 0
    for _ in range(20):
        run = fresh_copy(finished.run_dir, tmp_path / "run")
        n_killed += killed(server, run, work_folder, asked, after=random.uniform(0, seconds))
        refuses_or_is_whole(run, expected, state(finished.run_dir))
        check(run, asked, expected)
    assert n_killed >= 10


@pytest.mark.slow
def test_killed_while_it_resumes(finished, undisturbed, server, tmp_path, work_folder):
    asked, expected, n, *_ = undisturbed
    for first, second in ((n // 3, 5), (n // 2, 3), (n - 8, 2), (n - 3, 1)):
        run = fresh_copy(finished.run_dir, tmp_path / "run")
        assert killed(server, run, work_folder, asked, kill_at=first)
        killed(server, run, work_folder, {}, kill_at=second)
        check(run, asked, expected)


@pytest.mark.slow
def test_training_does_not_start_again_where_it_was_finished(finished, undisturbed, tmp_path, monkeypatch):
    """Stopped after the first adapter was saved: the next start trains the others only."""
    asked, expected, *_ = undisturbed
    run = copy_run(finished, tmp_path / "run")
    save = RunStore.save_shard

    def save_and_stop(self, *args):
        save(self, *args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunStore, "save_shard", save_and_stop)
        unlearn(run, **asked)
    result = unlearn(run)
    assert result.outcomes[0].result.trainer.record.trained == [1, 2]
    assert state(run) == expected
    assert read_json(result.certificates[0])["shards"]["trained"] == [0, 1, 2]
