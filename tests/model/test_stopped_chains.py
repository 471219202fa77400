"""A chain of pieces that stops goes on; whatever a state goes through, it is what training from nothing leaves."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.runs import points
from recbole_apa.runs import shard_files as adapters
from tests.helpers.pieces import build_shards, pretend_training, shard_files


@pytest.mark.quick(1)
@pytest.mark.parametrize("stopped_at", range(15))
def test_a_stopped_chain_goes_on_where_it_stopped(stopped_at, ready, places, tmp_path, monkeypatch):
    """Stopped in the middle of writing a point or an adapter, or before a training."""
    base, left = tmp_path / "base", dict(list(places.items())[1:])
    with monkeypatch.context() as patch:
        pretend_training(patch)
        build_shards(ready, base, places)
        build_shards(ready, tmp_path / "anew", left)
        build_shards(ready, tmp_path / "whole", left, base)
    with monkeypatch.context() as patch:
        seen, n = pretend_training(patch), 0

        def counted(real):
            def call(*args):
                nonlocal n
                n += 1
                if n == stopped_at + 1:
                    raise KeyboardInterrupt
                return real(*args)

            return call

        for module in (points, adapters):
            patch.setattr(module, "write_whole", counted(module.write_whole))
        patch.setattr(ShardTrainer, "fit", counted(ShardTrainer.fit))
        try:
            build_shards(ready, tmp_path / "after", left)
            stopped = False
        except KeyboardInterrupt:
            stopped = True
        first = list(seen)
        build_shards(ready, tmp_path / "after", left)
    assert stopped
    # only what was not yet written is trained twice
    assert len(seen) <= len(set(seen)) + 1 and first == seen[: len(first)]
    assert shard_files(tmp_path / "after") == shard_files(tmp_path / "anew")
    assert shard_files(tmp_path / "whole", base) == shard_files(tmp_path / "anew")


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_history_of_a_state_leaves_what_training_from_nothing_does(data, ready, names, tmp_path_factory):
    """Samples come and go, in any piece, in four states one after the other."""
    folder, place = tmp_path_factory.mktemp("states"), st.tuples(st.integers(0, 2), st.integers(0, 3))
    all_places = {name: data.draw(place) for name in names[:8]}
    with pytest.MonkeyPatch.context() as patch:
        seen, base, before = pretend_training(patch), None, {}
        for number in range(4):
            left = data.draw(st.sets(st.sampled_from(names[:8]), min_size=1))
            places = {name: all_places[name] for name in left}
            del seen[:]
            new, anew, whole = (folder / f"{kind}{number}" for kind in ("new", "anew", "whole"))
            fit, _ = build_shards(ready, new, places, base)
            assert set(seen) <= set(places.values()) and len(seen) == len(set(seen))
            for shard in {shard for shard, _ in places.values()} & {shard for shard, _ in before.values()}:
                now, then = ([(n, p[1]) for n, p in s.items() if p[0] == shard] for s in (places, before))
                changed = [piece for _, piece in set(now) ^ set(then)]
                first = min(changed, default=9)
                assert {p for k, p in seen if k == shard} == {p for _, p in now if p >= first}
            build_shards(ready, anew, places)
            if base:
                kept = {f"{k:03d}" for k in fit.record.taken_over}
                for shard in (base / "shards").glob("*"):
                    if shard.name in kept:
                        shutil.copytree(shard, whole / "shards" / shard.name)
            if new.exists():
                shutil.copytree(new, whole, dirs_exist_ok=True)
            assert shard_files(whole) == shard_files(anew)
            base, before = whole, places
