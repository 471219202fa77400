"""Runs that place users by how likely they are to ask: kept by keyed digests, purged with the users."""

import pytest

from recbole_apa import add, audit, run, unlearn
from recbole_apa.core.errors import KeyFileError, SettingsError
from recbole_apa.core.files.whole import read_json
from recbole_apa.evidence import key_ring
from recbole_apa.pipeline.build import open_run
from recbole_apa.runs.names import SLICE_ORDER
from recbole_apa.runs.slice_order import listed_of
from recbole_apa.runs.store import RunStore
from tests.helpers.inside import inside
from tests.helpers.killed_process import fresh_copy
from tests.helpers.pieces import count_training
from tests.helpers.runs import state
from tests.helpers.sliced import L, assert_holds

LIKELY = {"u3": 1.0, "u5": 0.9, "u7": 0.0, "u11": 0.4, "nobody": 0.5}


@pytest.fixture(scope="module")
def ordered(options, work_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("order") / "order.csv"
    path.write_text("user_id,likelihood\n" + "".join(f"{user},{p}\n" for user, p in LIKELY.items()))
    with inside(work_folder):
        changes = {"shard_slices": L, "slice_order": str(path)}
        made = run("APA", "board", config_dict={**options, **changes}, run_dir=work_folder / "ordered")
    path.unlink()  # it was read once
    return made


@pytest.fixture
def folder(ordered, tmp_path):
    return fresh_copy(ordered.run_dir, tmp_path / "run")


@pytest.mark.slow
def test_the_run_names_nobody_and_places_the_likely_last(ordered):
    store = RunStore(ordered.run_dir)
    text = (ordered.run_dir / SLICE_ORDER).read_text() + (ordered.run_dir / "manifest.json").read_text()
    assert not any(f'"{user}"' in text for user in LIKELY) and "order.csv" not in text
    assert sorted(read_json(ordered.run_dir / SLICE_ORDER).values()) == [0, 1, L - 1, L - 1]  # not of nobody
    places = store.places({}, key_ring())
    assert [places.slices.of(user) for user in ("u3", "u5", "u7", "u11")] == [2, 2, 0, 1]
    seen = {name: set(lineage) for name, lineage in store.lineage().items() if "/points/" in name}
    assert seen and not any(name.startswith(("u3:", "u5:")) for names in seen.values() for name in names)
    assert_holds(ordered.run_dir)


@pytest.mark.slow
def test_it_needs_its_key(ordered, tmp_path):
    with pytest.raises(KeyFileError):
        open_run(RunStore(ordered.run_dir), {"key_file": str(tmp_path / "none.json")})


@pytest.mark.slow
def test_a_request_of_somebody_likely_trains_last_slices_alone(ordered, folder, monkeypatch):
    seen = count_training(monkeypatch)
    unlearn(folder, users=["u3"])
    assert {place for _, place in seen} <= {(0, L - 1)}
    kept = read_json(folder / SLICE_ORDER)
    assert sorted(kept.values()) == [0, 1, L - 1]
    assert listed_of(RunStore(folder), key_ring())("u3") is None
    assert_holds(folder)


@pytest.mark.slow
def test_with_a_new_key_at_once_and_after_an_addition(ordered, folder, tmp_path):
    keys = key_ring()
    keys.rotate()
    plain = fresh_copy(ordered.run_dir, tmp_path / "plain")
    unlearn(plain, users=["u3"])
    unlearn(folder, users=["u3"], at_once=True)
    assert_holds(folder)
    old, new = (read_json(at / SLICE_ORDER) for at in (ordered.run_dir, folder))
    assert not old.keys() & new.keys() and sorted(new.values()) == [0, 1, L - 1]
    from recbole_apa import catch_up

    catch_up(folder)
    assert state(folder) == state(plain)
    add(folder, [(user, f"i{k}", 2 + 3 * (k % 2), 90_000 + k) for user in ("u5", "new") for k in range(12)])
    assert_holds(folder)
    unlearn(folder, users=["u5"], exactness="fresh")
    assert_holds(folder)


@pytest.mark.slow
def test_a_request_without_a_sample_purges_as_well(ordered, folder):
    """It takes the long way, which writes the file anew."""
    targets = {s.user_id for split in ordered.data.train_set.splits.values() for s in split}
    user = next((u for u in LIKELY if u not in targets and u != "nobody"), None) or "u7"
    unlearn(folder, users=[user])
    assert listed_of(RunStore(folder), key_ring())(user) is None and len(read_json(folder / SLICE_ORDER)) == 3


@pytest.mark.slow
def test_an_audit_finds_somebody_who_is_gone(ordered, folder):
    unlearn(folder, users=["u3"])
    store = RunStore(folder)
    store.save_slice_order({**read_json(folder / SLICE_ORDER), "0" * 64: 1})
    store.seal({})
    assert f"{SLICE_ORDER} names 1 users of whom the run has no row" in audit(folder).findings


def test_a_finished_run_keeps_its_order(folder, tmp_path):
    with pytest.raises(SettingsError, match="slice_order"):
        unlearn(folder, users=["u3"], config_dict={"slice_order": str(tmp_path / "other.csv")})
