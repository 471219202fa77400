"""Runs whose shards are cut into slices, on object stores, with workers and on Ray: requests in full and at once, and
catching up, leave the bytes of one process in a folder; audit and verification hold in between."""

import fsspec
import pytest

from recbole_apa import audit, catch_up, evaluate_run, run, unlearn, verify
from recbole_apa.core.cache import cache_root
from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.runs.remote.working_copy import copy_run, strays_of
from recbole_apa.runs.store import RunStore
from tests.helpers.killed_process import fresh_copy
from tests.helpers.pieces import count_training
from tests.helpers.runs import state
from tests.helpers.sliced import L, pair_in

pytestmark = pytest.mark.slow

WAYS = {
    "workers": (False, {"workers": 2}),
    "store": (True, {}),
    "store and workers": (True, {"workers": 2}),
    "ray": (False, {"engine": "ray", "workers": 2}),
    "store and ray": (True, {"engine": "ray", "workers": 2}),
}
"""Whether at a URL, and the options of every call."""


@pytest.fixture
def url(tmp_path, monkeypatch):
    """A place in memory, and a cache, of each test's own."""
    monkeypatch.setenv("RECBOLE_APA_CACHE", str(tmp_path / "cache"))
    yield f"memory://{tmp_path.name}/run"
    fs = fsspec.filesystem("memory")
    if fs.exists(f"/{tmp_path.name}"):
        fs.rm(f"/{tmp_path.name}", recursive=True)


def files_of(place, folder):
    """The state of a run, wherever it is."""
    copy_run(place, folder)
    return state(folder)


def walk(place, sliced, folder, how, check):
    """A request in full, one at once, and catching up: the state after each."""
    out = []
    for name, call in (
        ("full", lambda: unlearn(place, interactions=[pair_in(sliced, "last")], config_dict=how)),
        ("at once", lambda: unlearn(place, users=["u3", "u7"], at_once=True, config_dict=how)),
        ("caught up", lambda: catch_up(place, how)),
    ):
        call()
        out.append(files_of(place, folder / name))
        check(place)
    return out


@pytest.fixture(scope="module")
def walked(sliced, tmp_path_factory, work_folder):
    """The states that one process in a folder leaves."""
    folder = tmp_path_factory.mktemp("walked")
    return walk(fresh_copy(sliced.run_dir, folder / "run"), sliced, folder, {}, lambda place: None)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_leaves_the_bytes_of_one_process(way, sliced, walked, url, tmp_path):
    is_url, how = WAYS[way]
    if "ray" in way:
        pytest.importorskip("ray")
    place = url if is_url else str(tmp_path / "run")
    copy_run(sliced.run_dir, place)

    def check(place):
        assert audit(place).findings == []
        assert verify(place, config_dict=how).differences == []
        assert strays_of(place) == [] and not list(cache_root().glob("runs/*/*"))

    found = walk(place, sliced, tmp_path, how, check)
    for name, here, there in zip(("in full", "at once", "caught up"), found, walked, strict=True):
        assert here == there, name


@pytest.mark.parametrize("how", [{"workers": 2}, {"engine": "ray", "workers": 2}])
def test_a_training_at_a_url_leaves_the_bytes_of_one_in_a_folder(how, sliced, options, url, tmp_path):
    if "engine" in how:
        pytest.importorskip("ray")
    run("APA", "board", config_dict={**options, "shard_slices": L, **how}, run_dir=url)
    assert files_of(url, tmp_path / "copy") == state(sliced.run_dir)


def test_at_a_url_a_request_at_once_and_a_stopped_catching_up_that_goes_on(sliced, walked, url, tmp_path, monkeypatch):
    copy_run(sliced.run_dir, url)
    unlearn(url, interactions=[pair_in(sliced, "last")])
    unlearn(url, users=["u3", "u7"], at_once=True)
    assert audit(url).findings == [] and "test.n_samples" in evaluate_run(url).metrics
    assert files_of(url, tmp_path / "at_once") == walked[1]
    places = RunStore(tmp_path / "at_once").load_prefixes()
    seen, real = count_training(monkeypatch), ShardTrainer.fit

    def fit(*args):
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(ShardTrainer, "fit", fit)
        with pytest.raises(KeyboardInterrupt):
            catch_up(url)
    assert files_of(url, tmp_path / "stopped") == walked[1] and len(seen) == 2
    catch_up(url)
    assert len(seen) == len(set(seen)) > 2 and {shard for shard, _ in seen} == set(places)
    assert files_of(url, tmp_path / "after") == walked[2]
    assert audit(url).findings == [] and strays_of(url) == []
