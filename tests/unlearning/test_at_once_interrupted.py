"""A request at once, and catching up, killed at any boundary: the run ends with the bytes of an undisturbed one."""

import pytest

from recbole_apa import audit, catch_up, unlearn
from recbole_apa.core.errors import APAError, RequestError
from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.runs.ledger import refuse_pending
from recbole_apa.runs.names import TO_MAKE
from recbole_apa.runs.store import RunStore
from tests.helpers.killed_process import fresh_copy
from tests.helpers.kills import completed, end_of, killed, some
from tests.helpers.pieces import count_training
from tests.helpers.runs import state
from tests.helpers.sliced import assert_holds, pair_in

pytestmark = pytest.mark.slow


class Made:
    """A run as a fixture of tests has it."""

    def __init__(self, run_dir):
        self.run_dir = run_dir


@pytest.fixture(scope="module")
def at_once(sliced, server, tmp_path_factory, work_folder):
    """What is asked, the state it ends with, and how many file operations it takes."""
    asked = {"users": ["u3"], "interactions": [pair_in(sliced, "last")], "at_once": True}
    return end_of(asked, sliced, server, tmp_path_factory.mktemp("at_once"), work_folder)


@pytest.fixture(scope="module")
def prefixes(sliced, at_once, tmp_path_factory):
    """A run that serves prefixes."""
    folder = fresh_copy(sliced.run_dir, tmp_path_factory.mktemp("prefixes") / "run")
    unlearn(folder, **at_once[0])
    return Made(folder)


@pytest.fixture(scope="module")
def caught_up(prefixes, server, tmp_path_factory, work_folder):
    """As ``at_once``, of catching up."""
    return end_of({"catch_up": True}, prefixes, server, tmp_path_factory.mktemp("caught_up"), work_folder)


def assert_served(run, *states):
    """Between kill and resumption: a refusal, or one of these states."""
    store = RunStore(run)
    try:
        refuse_pending(store)
        store.check()
    except APAError:
        return
    assert state(run) in states


def test_a_request_at_once_killed_at_some_boundaries(sliced, at_once, server, tmp_path, work_folder):
    asked, expected, n, *_ = at_once
    old = state(sliced.run_dir)
    for kill_at in some(n, 8):
        run = fresh_copy(sliced.run_dir, tmp_path / "run")
        assert killed(server, run, work_folder, asked, kill_at=kill_at)
        assert_served(run, old, expected)
        ledger = completed(run, asked)
        assert state(run) == expected and [e.kind for e in ledger.entries()] == ["request", "done"]
        assert TO_MAKE in RunStore(run).manifest() and audit(run).findings == []
        assert not (run / "pending").exists()


def test_catching_up_killed_at_some_boundaries(prefixes, caught_up, server, tmp_path, work_folder):
    _, expected, n, *_ = caught_up
    old = state(prefixes.run_dir)
    for kill_at in [*some(n, 7), n - 1]:
        run = fresh_copy(prefixes.run_dir, tmp_path / "run")
        assert killed(server, run, work_folder, {"catch_up": True}, kill_at=kill_at)
        assert_served(run, old, expected)
        try:
            catch_up(run)
        except RequestError as error:
            assert "nothing to catch up with" in str(error)
        assert state(run) == expected and audit(run).findings == []
        assert not (run / "pending").exists()


def test_catching_up_goes_on_from_the_last_slice_that_was_finished(prefixes, tmp_path, monkeypatch):
    """Stopped before every slice in turn: each is trained once in all, and the end is that of one call."""
    whole, run = (fresh_copy(prefixes.run_dir, tmp_path / name) for name in ("whole", "run"))
    expected = count_training(monkeypatch)
    catch_up(whole)
    wanted, n_stops = list(expected), 0
    with monkeypatch.context() as patch:
        seen, real = [], ShardTrainer.fit

        def fit(*args):
            if len(seen) == n_stops:
                raise KeyboardInterrupt
            seen.append(args[1])
            return real(*args)

        patch.setattr(ShardTrainer, "fit", fit)
        del expected[:]
        for n_stops in range(len(wanted)):
            with pytest.raises(KeyboardInterrupt):
                catch_up(run)
            assert len(expected) == n_stops and set(expected) <= set(wanted) and state(run) == state(prefixes.run_dir)
            assert audit(run).findings == ["pending/ is there: catching up was not finished; go on with --catch_up"]
    done = catch_up(run).caught_up
    assert len(wanted) > 2 and sorted(expected) == sorted(wanted)
    assert done.n_slices == 1 and state(run) == state(whole)
    assert not (run / "pending").exists()
    assert_holds(run)


def killed_catching_up(prefixes, folder, monkeypatch):
    """A run whose catching up was killed before its first shard was trained."""
    run = fresh_copy(prefixes.run_dir, folder / "run")

    def fit(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ShardTrainer, "fit", fit)
        with pytest.raises(KeyboardInterrupt):
            catch_up(run)
    return run


def test_what_a_killed_catching_up_trained_is_deleted_by_another_request(prefixes, tmp_path, monkeypatch):
    run = killed_catching_up(prefixes, tmp_path, monkeypatch)
    assert (run / "pending").is_dir()
    with pytest.raises(RequestError, match=r"found no request.* --catch_up"):
        unlearn(run)
    assert not (run / "pending").exists() and audit(run).findings == []


def test_tensorboard_logs_of_a_killed_catching_up_are_deleted_with_it(prefixes, tmp_path, monkeypatch):
    """They are of a training that may have seen what the next request forgets, and no manifest names them any more."""
    monkeypatch.chdir(tmp_path)
    run = killed_catching_up(prefixes, tmp_path, monkeypatch)
    assert list((tmp_path / "log_tensorboard").iterdir())
    with pytest.raises(RequestError, match="found no request"):
        unlearn(run)
    assert not list((tmp_path / "log_tensorboard").iterdir())


def test_a_request_after_a_killed_catching_up(prefixes, caught_up, server, tmp_path, work_folder):
    """What the killed process had trained is not taken for the new request's."""
    run = fresh_copy(prefixes.run_dir, tmp_path / "run")
    assert killed(server, run, work_folder, {"catch_up": True}, kill_at=caught_up[2] // 2)
    plain = fresh_copy(prefixes.run_dir, tmp_path / "plain")
    for folder in (run, plain):
        unlearn(folder, users=["u7"])
    assert state(run) == state(plain) and audit(run).findings == []
