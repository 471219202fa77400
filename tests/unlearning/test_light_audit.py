"""An audit by the index alone finds what one with RecBole's dataset finds."""

import json

import pytest

from recbole_apa import audit, unlearn
from recbole_apa.collaborative import CountedRows, ItemCodes
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.data import dataset_digest
from recbole_apa.data.index.read import Index
from recbole_apa.evidence import key_ring, secret_of
from recbole_apa.runs.collaborative_files import load_collaborative, save_collaborative
from recbole_apa.runs.names import COLLABORATIVE_SUMS, COMBINATION
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.proof import quick
from tests.helpers.runs import copy_run
from tests.helpers.unseen import unseen_rows


def by_recbole(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(quick, "surveyed", lambda *args: None)
        return audit(folder)


@pytest.fixture
def folder(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    unlearn(folder, interactions=unseen_rows(finished)[:1])
    return folder


@pytest.mark.slow
def test_both_ways_hold(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("recbole_apa.pipeline.stored_data.read_stored", lambda *args, **how: pytest.fail("not light"))
        light = audit(folder)
    whole = by_recbole(folder, monkeypatch)
    assert light.holds and whole.holds and light.checked == whole.checked and light.head == whole.head


def change_lineage(folder):
    store = RunStore(folder)
    seen = store.lineage()
    name = next(iter(seen["memory.safetensors"]))
    seen["memory.safetensors"][name] = "0" * 64
    store.save_lineage(seen)


def drop_a_sample(folder):
    store = RunStore(folder)
    assigned = json.loads((folder / "partition.json").read_text())
    assigned.pop(next(iter(assigned)))
    (folder / "partition.json").write_text(json.dumps(assigned))
    assert store.load_assignment()


@pytest.mark.quick(1)
@pytest.mark.parametrize("change", [change_lineage, drop_a_sample])
def test_both_ways_find_the_same(change, folder, monkeypatch):
    change(folder)
    light, whole = audit(folder), by_recbole(folder, monkeypatch)
    assert light.findings == whole.findings and len(light.findings) > 1


def test_an_index_of_other_options_is_found(finished, tmp_path):
    """The index decides what a run sees: the manifest may not say something else."""
    folder = copy_run(finished, tmp_path / "run")
    path = folder / "index" / "index.json"
    path.write_text(path.read_text().replace('"least": 4', '"least": 3'))
    store = RunStore(folder)
    store.seal({})
    assert any("other options" in finding for finding in audit(folder).findings)


def change_a_sum(store):
    fitted = load_collaborative(store, ItemCodes(store.open_index().items.names))
    fitted.statistics.items.values[0] += 1
    save_collaborative(store, fitted)


def change_a_score(store):
    fitted = load_collaborative(store, ItemCodes(store.open_index().items.names))
    fitted.scores["valid"][0] = 1 - fitted.scores["valid"][0] / 2
    save_collaborative(store, fitted)


def change_a_coefficient(store):
    told = read_json(store.folder / COMBINATION)
    told["combination"]["alone"]["intercept"] += 0.5
    write_json(store.folder / COMBINATION, told)


def change_what_is_counted(**changes):
    def change(store):
        manifest = store.manifest()
        told = {name: edit(manifest["counted"][name]) for name, edit in changes.items()}
        store.write_manifest({**manifest, "counted": {**manifest["counted"], **told}})

    return change


def note_other_rows(store):
    """The digest of nobody's rows, which its sums give."""
    manifest = store.manifest()
    secret = secret_of(manifest["salt"], key_ring({}).key(manifest["key"]))
    known = CountedRows.from_json(manifest["counted"], secret)
    other = CountedRows(known.n_rows, known.n_users, CountedRows.none(secret).digest)
    store.write_manifest({**manifest, "counted": other.to_json()})


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (change_what_is_counted(rows=lambda n: n + 1), f"lineage of {COLLABORATIVE_SUMS}: the manifest says"),
        (change_what_is_counted(users=lambda n: n - 1), f"lineage of {COLLABORATIVE_SUMS}: the manifest says"),
        (change_what_is_counted(digest=lambda d: d[::-1]), "its sums do not give it"),
        (note_other_rows, f"lineage of {COLLABORATIVE_SUMS}: it was counted from other rows than the data gives now"),
    ],
)
def test_another_digest_of_what_is_counted_is_found(change, says, folder, monkeypatch):
    store = RunStore(folder)
    change(store)
    for found in (audit(folder), by_recbole(folder, monkeypatch)):
        assert any(says in finding for finding in found.findings), found.findings


@pytest.mark.slow
def test_a_run_without_such_a_digest_holds_with_a_notice_and_notes_it_with_a_request(folder, finished, monkeypatch):
    store = RunStore(folder)
    noted = store.manifest()["counted"]
    store.write_manifest({k: v for k, v in store.manifest().items() if k != "counted"})
    before = audit(folder)
    assert [f for f in before.findings if "after the last request" not in f] == []
    assert any("no digest of the rows that collaborative statistics" in notice for notice in before.notices)
    fresh = copy_run(finished, folder.parent / "fresh")
    store = RunStore(fresh)
    store.write_manifest({k: v for k, v in store.manifest().items() if k != "counted"})
    assert audit(fresh).holds
    (outcome,) = unlearn(fresh, interactions=unseen_rows(finished)[:1]).outcomes
    assert store.manifest()["counted"] == noted  # the same request, salt and key
    assert outcome.statistics.digest["before"] is None and outcome.statistics.rows["before"] is None
    assert audit(fresh).holds


def test_an_audit_looks_through_the_index_as_often_with_statistics_as_without(finished, uncounted, monkeypatch):
    found, parts = [], Index.parts
    with monkeypatch.context() as patch:
        patch.setattr(Index, "parts", lambda self: (found.append(self), parts(self))[1])
        n_passes = []
        for made in (uncounted, finished):
            assert audit(made.run_dir).holds
            n_passes.append(len(found))
            found.clear()
    assert n_passes[0] == n_passes[1] > 0


def test_an_audit_with_statistics_hashes_each_name_once_and_looks_none_up(finished, monkeypatch):
    names, hashed, name_of = Index(finished.run_dir / "index", "").items.names, [], dataset_digest._named

    def counting(purpose, secret, name, told=b""):
        if purpose == b"name":
            hashed.append(name)
        return name_of(purpose, secret, name, told)

    monkeypatch.setattr(dataset_digest, "_named", counting)
    monkeypatch.setattr(ItemCodes, "_code_of", property(lambda self: pytest.fail("a name is looked up")))
    assert audit(finished.run_dir).holds and hashed == names


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (change_a_sum, f"{COLLABORATIVE_SUMS} is not what the run's rows sum up to: items.values"),
        (change_a_score, f"{COMBINATION} is not what the run's rows and the model's kept scores give"),
        (change_a_coefficient, f"{COMBINATION} is not what the run's rows and the model's kept scores give"),
    ],
)
def test_other_statistics_are_found_though_they_are_sealed(change, says, folder, monkeypatch):
    assert audit(folder).holds
    store = RunStore(folder)
    change(store)
    store.seal({})
    light, whole = audit(folder), by_recbole(folder, monkeypatch)
    assert says in light.findings and says in whole.findings


@pytest.mark.quick(1)
@pytest.mark.parametrize(("by", "holds"), [(1e-9, True), (1e-4, False)])
def test_what_versions_of_numpy_round_differently_is_no_finding(by, holds, folder):
    told = read_json(folder / COMBINATION)
    for name in ("alone", "both"):
        told["combination"][name]["coefficients"] = [x + by for x in told["combination"][name]["coefficients"]]
    write_json(folder / COMBINATION, told)
    RunStore(folder).seal({})
    found = [f for f in audit(folder).findings if "what the run's rows and" in f]
    assert (found == []) is holds, found
