"""Several workers give the bytes of one, whatever happens to them."""

import configparser
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count

import psutil
import pytest

from recbole_apa import run, unlearn
from recbole_apa.core.errors import SettingsError, TrainingError
from recbole_apa.pipeline.workers.jobs import Job
from recbole_apa.pipeline.workers.ray_actors import RAY_NEEDED, RayTeam, _no_cluster
from recbole_apa.pipeline.workers.schedule import WorkerLost, run_jobs
from recbole_apa.runs.store import RunStore
from tests.helpers.places import ROOT
from tests.helpers.runs import copy_run, state

LONGER = {"epochs": 60}
"""So that there is a middle to be killed in."""


class FakeTeam:
    """Two workers in this process; ``fails`` says how often a job fails before it succeeds."""

    def __init__(self, fails):
        self.fails, self.running, self.tries, self._names = dict(fails), {}, [], count()

    def has_room(self):
        return len(self.running) < 2

    def submit(self, job):
        name = next(self._names)
        self.running[name] = job
        self.tries.append(job.title)
        return name

    def finished(self, seconds):
        return list(self.running)

    def result(self, known_as):
        job = self.running.pop(known_as)
        left = self.fails.get(job.title, 0)
        if left:
            self.fails[job.title] = left - 1
            raise job.arguments[0] if job.arguments else WorkerLost("its node is gone")
        return job.title.upper()

    def messages(self):
        return [(job.title, 0.5, "loss 0.6") for job in self.running.values()]

    def close(self):
        pass


def jobs(*titles):
    return [Job("train", (), title) for title in titles]


def test_what_a_lost_worker_left_is_tried_again():
    team = FakeTeam({"b": 2})
    assert dict(run_jobs(team, jobs("a", "b", "c"), "Train", False)) == {0: "A", 1: "B", 2: "C"}
    assert team.tries.count("b") == 3 and team.tries.count("a") == 1


def test_what_fails_three_times_stops_the_run_once_the_others_are_done():
    team, found = FakeTeam({"b": 3}), {}
    with pytest.raises(TrainingError, match=r"b failed 3 times, .*WorkerLost: its node is gone.*--run_dir"):
        for place, value in run_jobs(team, jobs("a", "b", "c", "d"), "Train", False):
            found[place] = value
    assert found == {0: "A", 2: "C", 3: "D"}


def test_what_a_job_refuses_is_not_tried_again():
    team = FakeTeam({"a": 1})
    with pytest.raises(SettingsError, match="no such thing"):
        list(run_jobs(team, [Job("train", (SettingsError("no such thing"),), "a")], "Train", False))
    assert team.tries == ["a"]


def kill_one(stop, killed):
    """Kill a process of ours that trains, as soon as there is one."""
    while not stop.is_set():
        for child in psutil.Process().children():
            if "recbole_apa.pipeline.workers.process" in " ".join(child.cmdline()):
                child.kill()
                killed.append(child.pid)
                return
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["train", "unlearn"])
def test_a_killed_process_leaves_no_trace_in_the_bytes(options, finished, tmp_path, stage):
    folder, stop, killed = tmp_path / "run", threading.Event(), []
    if stage == "unlearn":
        copy_run(finished, folder)
    thread = threading.Thread(target=kill_one, args=(stop, killed))
    thread.start()
    try:
        if stage == "train":
            run("APA", "board", config_dict={**options, "workers": 2}, run_dir=folder)
        else:
            unlearn(folder, users=["u3"], config_dict={"workers": 2})
    finally:
        stop.set()
        thread.join()
    assert killed
    if stage == "unlearn":
        reference = copy_run(finished, tmp_path / "reference")
        unlearn(reference, users=["u3"])
        assert state(folder) == state(reference)
    else:
        assert state(folder) == state(finished.run_dir)


@pytest.mark.slow
def test_ctrl_c_ends_every_process_and_a_later_start_goes_on(options, tmp_path):
    asked = {**options, **LONGER, "workers": 2}
    program = f"""
import recbole_apa
recbole_apa.run("APA", "board", config_dict={asked!r}, run_dir={str(tmp_path / "run")!r})
"""
    script = tmp_path / "train.py"  # workers import the program's own file
    script.write_text('if __name__ == "__main__":' + program.replace("\n", "\n    "))
    root = str(ROOT)
    process = subprocess.Popen(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": root}, stderr=subprocess.PIPE, text=True
    )
    while not any((tmp_path / "run" / "shards").glob("0*")):
        assert process.poll() is None
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0 and "KeyboardInterrupt" in said
    assert not psutil.wait_procs(children, timeout=10)[1]
    assert not RunStore(tmp_path / "run").has("metrics.json")
    run("APA", "board", config_dict=asked, run_dir=tmp_path / "run")
    run("APA", "board", config_dict={**options, **LONGER}, run_dir=tmp_path / "local")
    assert state(tmp_path / "run") == state(tmp_path / "local")


def test_an_engine_that_is_none_is_refused(options, tmp_path):
    with pytest.raises(SettingsError, match="engine: found 'spark', expected one of local, ray"):
        run("APA", "board", config_dict={**options, "engine": "spark"}, run_dir=tmp_path / "run")
    with pytest.raises(SettingsError, match="fused_shards 2; expected engine: local"):
        run("APA", "board", config_dict={**options, "engine": "ray", "fused_shards": 2}, run_dir=tmp_path / "run")


@pytest.fixture
def two_nodes(monkeypatch):
    """A Ray cluster of two nodes on loopback, one worker each; the second node can be killed."""
    import ray
    from ray.cluster_utils import Cluster

    # what a node starts has to find the tests' own checkout
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RAY_worker_niceness", "0")  # beside other work its own 15 starves
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.second = cluster.add_node(num_cpus=1)
    # once: Ray 2.6 now and then fails to connect again after a shutdown in the same process
    ray.init(address=cluster.address, log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


class Watched:
    """Says when both workers train a shard, and counts the jobs that were lost."""

    def __init__(self, monkeypatch):
        self.both_train, self.lost, met = threading.Event(), 0, set()
        has_room, submit, result = RayTeam.has_room, RayTeam.submit, RayTeam.result

        def room_once_all_are_there(team):
            room = has_room(team)
            if all(slot.ready is None for slot in team._slots):
                met.add(id(team))
            return room and id(team) in met

        def told(team, job):
            known_as = submit(team, job)
            if job.title.startswith("shard") and all(slot.job is not None for slot in team._slots):
                self.both_train.set()
            return known_as

        def counted(team, known_as):
            try:
                return result(team, known_as)
            except WorkerLost:
                self.lost += 1
                raise

        for name, method in (("has_room", room_once_all_are_there), ("submit", told), ("result", counted)):
            monkeypatch.setattr(RayTeam, name, method)


@pytest.mark.slow
def test_ray_gives_the_same_bytes_though_a_node_dies_in_training_and_another_in_unlearning(
    options, tmp_path, two_nodes, monkeypatch
):
    run("APA", "board", config_dict={**options, **LONGER}, run_dir=tmp_path / "local")
    ray_options = {"engine": "ray", "workers": 2, "ray_address": two_nodes.address}
    folder = tmp_path / "ray"

    watched = Watched(monkeypatch)

    def kill_node(over):
        while not watched.both_train.wait(0.02):
            if over.is_set():
                return
        two_nodes.remove_node(two_nodes.second, allow_graceful=False)

    def disturbed(work):
        watched.both_train.clear()
        over, lost = threading.Event(), watched.lost
        thread = threading.Thread(target=kill_node, args=(over,))
        thread.start()
        try:
            work()
        finally:
            over.set()
            thread.join()
        assert watched.lost > lost  # a shard was being trained on the node that died
        two_nodes.second = two_nodes.add_node(num_cpus=1)

    disturbed(lambda: run("APA", "board", config_dict={**options, **LONGER, **ray_options}, run_dir=folder))
    assert state(folder) == state(tmp_path / "local")
    partition = RunStore(folder).load_partition()
    everyone = sorted({name.split(":")[0] for name in partition.shard_of})[:3]
    unlearn(tmp_path / "local", users=everyone)
    disturbed(lambda: unlearn(folder, users=everyone, config_dict=ray_options))
    assert state(folder) == state(tmp_path / "local")


def test_ray_that_is_not_installed_is_named_before_anything_is_read(options, tmp_path, monkeypatch):
    monkeypatch.setattr("recbole_apa.pipeline.workers.pool.is_installed", lambda: False)
    with pytest.raises(SettingsError, match=r'Ray is not installed; .* the extra ray: pip install "\.\[ray\]", or'):
        run("APA", "board", config_dict={**options, "engine": "ray"}, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_extra_asks_for_the_ray_that_the_error_names():
    extras = configparser.ConfigParser()
    extras.read(ROOT / "setup.cfg")
    assert extras["options.extras_require"]["ray"].split() == [RAY_NEEDED]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            ConnectionError("ray cluster at 1.2.3.4:6379 cannot be reached"),
            "cannot connect to a Ray cluster at '1.2.3.4:6379'",
        ),
        (ConnectionError("Authentication failed: invalid\n auth token"), "did not accept this program's token"),
    ],
)
def test_a_cluster_that_wants_a_token_is_told_from_none(error, expected):
    said = _no_cluster("1.2.3.4:6379", error)
    assert expected in said and "RAY_AUTH_TOKEN" in said and "\n" not in said
