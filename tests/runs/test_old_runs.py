"""Run folders that commit 86d8546 wrote (tests/data/old_runs, made by the script there).

They open with the same figures, forget and are audited; those whose data was read wrongly are refused, with the rows
that differ.
"""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from recbole_apa import audit, evaluate_run, run, unlearn
from recbole_apa.core.errors import RequestError, RunError
from recbole_apa.core.files.whole import file_digest, write_json
from recbole_apa.data.forgotten import Digester
from recbole_apa.data.index.rows import DRAWN
from recbole_apa.data.samples import Interactions
from recbole_apa.evidence import key_ring
from recbole_apa.pipeline.build import stored_visible_data
from recbole_apa.runs.counted import n_forgotten
from recbole_apa.runs.ledger import Ledger, manifest_digest
from recbole_apa.runs.ledger_lines import DONE, REQUEST
from recbole_apa.runs.manifest import with_check
from recbole_apa.runs.names import KEY
from recbole_apa.runs.store import FORMAT_VERSION, OLD_FORMAT_VERSIONS, RunStore, is_old_format
from recbole_apa.unlearning import light_stage
from recbole_apa.unlearning.redraw import refuse_plain_ids
from tests.helpers.index_rows import told as told_rows
from tests.helpers.old_runs import OLD, PLACES, expected, new_differences
from tests.helpers.runs import copy_run, lasting, state, tree
from tests.helpers.unseen import unseen_rows

ALL_LEVELS = ("inherited", "strict", "fresh")


@pytest.fixture
def old_run(tmp_path):
    def copy(name):
        return Path(shutil.copytree(OLD / name / "run", tmp_path / name))

    return copy


def as_told(samples):
    return {
        s.sample_id: {"label": s.label, "history": [[e.item_id, e.label, e.interaction_id] for e in s.history]}
        for s in samples
    }


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", ["plain", "forgotten", "duplicates"])
def test_an_old_run_opens_with_the_same_figures_and_the_audit_holds(name, old_run):
    folder, told = old_run(name), expected(name)
    assert RunStore(folder).manifest()["format_version"] == OLD_FORMAT_VERSIONS[0]
    opened = evaluate_run(folder, PLACES)
    # another processor may round otherwise
    found, then = lasting(opened.metrics), lasting(told["metrics"])
    assert {name: found.get(name) for name in then} == pytest.approx(then, abs=1e-5)
    assert all("_users" in name for name in set(found) - set(then))  # figures by users came later
    assert {name: as_told(part) for name, part in opened.data[0]._dataset.splits.items()} == told["samples"]
    assert audit(folder, PLACES).findings == []


@pytest.mark.slow
@pytest.mark.parametrize("exactness", ALL_LEVELS)
@pytest.mark.parametrize("name", ["plain", "forgotten"])
def test_an_old_run_forgets_and_becomes_one_of_today(name, exactness, old_run):
    folder = old_run(name)
    before = set(RunStore(folder).manifest()["forgotten"])
    done = unlearn(folder, users=["u7"], exactness=exactness, config_dict=PLACES)
    assert done.plan.affected and done.outcomes[0].certificates
    manifest = RunStore(folder).manifest()
    keys = key_ring()
    keyed = set(map(keys.newest().keyed, before))
    lines = Ledger(folder, manifest["salt"]).requests()
    assert manifest["format_version"] == FORMAT_VERSION and manifest["forgotten"] > len(keyed)
    assert keyed < {digest for e in lines for digest in e.content["interactions"]}
    (part,) = stored_visible_data(RunStore(folder), keys).forgotten
    assert part.old_rows == keyed and len(part.scopes) == 1
    assert audit(folder, PLACES).findings == []
    assert not new_differences(folder, name)
    samples = [s for part in evaluate_run(folder, PLACES).data[0]._dataset.splits.values() for s in part]
    assert samples and not any(s.user_id == "u7" for s in samples)
    index = RunStore(folder).open_index()
    assert len(index.all_rows()) and "u7" not in index.all_rows().users.names


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "forgotten", "duplicates"])
def test_later_requests_of_an_old_run_are_served_from_its_index_as_without_it(name, old_run, tmp_path, monkeypatch):
    folder = old_run(name)
    unlearn(folder, users=["u7"], config_dict=PLACES)
    long = Path(shutil.copytree(folder, tmp_path / "long"))
    opened = evaluate_run(folder, PLACES)
    rows = [row for row in unseen_rows(opened) if row[0] != "u7"][:2]
    asked = [*({"interactions": [row]} for row in rows), {"users": ["u5"]}]
    for request in asked:
        short_plan = unlearn(folder, **request, dry_run=True, config_dict=PLACES).plan
        done = unlearn(folder, **request, config_dict=PLACES)
        with monkeypatch.context() as patch:
            patch.setattr(light_stage, "open_light", lambda *args: None)
            plan = unlearn(long, **request, dry_run=True, config_dict=PLACES).plan
            unlearn(long, **request, config_dict=PLACES)
        assert sorted(map(str, short_plan.affected)) == sorted(map(str, plan.affected))
        assert bool(done.plan.affected) == ("users" in request)
        assert state(folder) == state(long)
    assert audit(folder, PLACES).findings == [] and not new_differences(folder, name)


@pytest.mark.slow
def test_an_old_run_of_duplicates_forgets_all_rows_of_a_pair(old_run):
    """Hiding the row that survived the filter let the next duplicate in."""
    folder = old_run("duplicates")
    unlearn(folder, interactions=[("u3", "i16")], config_dict=PLACES)
    data = evaluate_run(folder, PLACES).data[0]._dataset
    shown = {(s.user_id, e.item_id) for part in data.splits.values() for s in part for e in s.history}
    assert ("u3", "i16") not in shown | set(zip(data.interactions.users, data.interactions.items, strict=True))
    assert audit(folder, PLACES).holds and not new_differences(folder, "duplicates")


def test_an_old_run_of_wrongly_read_items_is_refused_by_what_differs(old_run):
    """FIELD.md 7 and 8: an empty year was filled with the mean, the title NA with nothing."""
    with pytest.raises(RunError, match=r"item i7: 'Odd Film 7 \(1989\.63\d*\)' is 'Odd Film 7' now") as caught:
        evaluate_run(old_run("strict_reader"), PLACES)
    assert "item i12: '(1992)' is 'NA (1992)' now" in str(caught.value) and "train a new run" in str(caught.value)


def test_an_old_run_of_presplit_files_that_did_not_forget_is_refused_by_what_was_left(old_run):
    """It was certified, and every row of u3 was still used."""
    folder = old_run("presplit")
    assert list((folder / "certificates").glob("*.json"))
    with pytest.raises(RunError, match=r"u3:i\d+:\d+ \((Yes|No)\) was read and is not now"):
        evaluate_run(folder, PLACES)
    assert any("was read and is not now" in f for f in audit(folder, PLACES).findings)


def test_other_data_is_still_just_other_data(old_run, tmp_path):
    folder, other = old_run("plain"), tmp_path / "other" / "board"
    shutil.copytree(OLD / "data" / "board", other)
    lines = (other / "board.inter").read_text().splitlines(keepends=True)
    (other / "board.inter").write_text("".join(lines[:-1]))
    with pytest.raises(RunError, match="not the one that the run was made of"):
        evaluate_run(folder, {**PLACES, "data_path": str(other.parent)})


@pytest.mark.slow
@pytest.mark.parametrize("served", [False, True], ids=["waiting", "served"])
@pytest.mark.parametrize("asked", [{"users": ["u3"]}, {"interactions": [("u3", "i16")]}], ids=["user", "pair"])
def test_requests_of_an_old_run_that_knew_rows_alone_hide_what_they_named(asked, served, old_run):
    """Of requests that the old version took: the next duplicate of u3's pair came in and was certified."""
    folder = old_run("duplicates")
    take_as_before(folder, asked, served)
    if served:
        with pytest.raises(RunError, match=r"u3:i16:\d+ \((Yes|No)\) was read and is not now|not the one"):
            evaluate_run(folder, PLACES)
        return
    unlearn(folder, config_dict=PLACES)
    data = evaluate_run(folder, PLACES).data[0]._dataset
    shown = {(s.user_id, e.item_id) for part in data.splits.values() for s in part for e in s.history}
    assert ("u3", "i16") not in shown | set(zip(data.interactions.users, data.interactions.items, strict=True))
    assert audit(folder, PLACES).holds and not new_differences(folder, "duplicates")


def take_as_before(folder, asked, served):
    """Write the ledger's line of a request as commit 86d8546 did: keys of rows that the filters had left, and names."""
    opened = evaluate_run(folder, PLACES)
    rows, salt = opened.data[0]._dataset.interactions, RunStore(folder).manifest()["salt"]
    wanted = {("u3", None)} if "users" in asked else set(asked["interactions"])
    found = [r for r in range(len(rows)) if (rows.users[r], None) in wanted or (rows.users[r], rows.items[r]) in wanted]
    digester = Digester(salt)
    names = {digester.of(f"pair {rows.users[r]} {rows.items[r]}") for r in found}
    names |= {digester.of(f"user {u}") for u in asked.get("users", ())}
    keys = sorted({digester.of(rows.row_key(r)) for r in found})
    content = {"interactions": keys, "names": sorted(names), "exactness": "inherited", "method": "exact"}
    ledger = Ledger(folder, salt)
    entry = ledger.append(REQUEST, content)
    if served:  # as far as reading goes: the manifest says so, and nothing was trained again
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text()) | {"forgotten": keys, "served_requests": [entry.position]}
        path.write_text(json.dumps(manifest))
        ledger.append(DONE, {"requests": [1], "certificates": {}, "manifest": file_digest(path)})


@pytest.mark.parametrize(
    ("user", "plain", "refused"), [("u:3", True, True), ("u3", True, False), ("u:3", False, False)]
)
def test_ids_that_a_training_today_writes_otherwise_are_not_called_fresh(user, plain, refused):
    rows = Interactions([user], ["i1"], np.array([1]), None, plain_ids=plain)
    told = pytest.raises(RequestError, match="whose ids contain colons") if refused else nullcontext()
    with told:
        refuse_plain_ids(SimpleNamespace(raw_interactions=rows))


@pytest.mark.slow
def test_a_run_of_format_4_opens_forgets_and_becomes_one_of_today(options, tmp_path):
    """It has all but an index, which its first request writes, and no collaborative statistics, which need one."""
    finished = run("APA", "board", config_dict={**options, "evidence": "none"}, run_dir=tmp_path / "run")
    folder = finished.run_dir
    before = RunStore(folder).open_index().all_rows()
    shutil.rmtree(folder / "index")
    RunStore(folder).seal({})
    manifest = RunStore(folder).manifest()
    write_json(folder / "manifest.json", with_check({**manifest, "format_version": 4}))
    opened = evaluate_run(folder)
    figures = lasting(opened.metrics)
    assert figures and all(finished.metrics[name] == figure for name, figure in figures.items())
    assert audit(folder).findings == [] and not is_old_format(RunStore(folder).manifest())
    assert not RunStore(folder).has_index()
    unlearn(folder, users=["u3"])
    assert RunStore(folder).manifest()["format_version"] == FORMAT_VERSION
    index = RunStore(folder).open_index()
    # places count the rows that were there when the index was written
    left = [row[:4] for row in told_rows(before) if row[0] != "u3"]
    assert [row[:4] for row in told_rows(index.all_rows())] == left
    drawn = index.all_rows().flags & DRAWN != 0
    assert drawn.sum() == sum(len(part.samples) for part in evaluate_run(folder).data.parts)
    assert audit(folder).findings == []


def as_format_5(folder):
    """Let the manifest list the digests of what was forgotten, as it did, and the ledger's last line be of that."""
    store, ledger = RunStore(folder), Ledger(folder, RunStore(folder).salt)
    digests = sorted({digest for e in ledger.requests() for digest in e.content["interactions"]})
    store.write_manifest({**store.manifest(), "format_version": 5, "forgotten": digests})
    last = ledger.entries()[-1].content
    lines = ledger.path.read_bytes().splitlines(keepends=True)
    ledger.path.write_bytes(b"".join(lines[:-1]))
    told = {name: last[name] for name in ("requests", "certificates", KEY)}
    ledger.append(DONE, {**told, "manifest": manifest_digest(told, store, key_ring())})


@pytest.mark.slow
@pytest.mark.parametrize("asks", ["no sample", "samples"])
def test_a_run_of_format_5_forgets_and_its_manifest_no_longer_lists_digests(asks, finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    first, *others = unseen_rows(finished)[:3]
    unlearn(folder, interactions=[first])
    as_format_5(folder)
    assert audit(folder).findings == [] and evaluate_run(folder).metrics
    unlearn(folder, **({"interactions": others} if asks == "no sample" else {"users": ["u3"]}))
    manifest, lines = RunStore(folder).manifest(), Ledger(folder, RunStore(folder).salt).requests()
    assert (manifest["format_version"], manifest["forgotten"]) == (FORMAT_VERSION, n_forgotten(lines))
    assert not [d for e in lines for d in e.content["interactions"] if d in (folder / "manifest.json").read_text()]
    assert audit(folder).findings == []


def test_a_run_of_format_5_whose_list_is_not_the_ledgers_is_refused(finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    unlearn(folder, interactions=unseen_rows(finished)[:1])
    as_format_5(folder)
    manifest = RunStore(folder).manifest()
    RunStore(folder).write_manifest({**manifest, "forgotten": manifest["forgotten"][1:]})
    before = tree(folder)
    with pytest.raises(RunError, match="do not add up to"):
        unlearn(folder, users=["u4"])
    assert tree(folder) == before


@pytest.mark.parametrize("version", [1, FORMAT_VERSION + 1, "4", 4.0, True])
def test_a_run_of_another_format_is_refused(version, finished, tmp_path):
    folder = copy_run(finished, tmp_path / "run")
    manifest = RunStore(folder).manifest()
    write_json(folder / "manifest.json", with_check({**manifest, "format_version": version}))
    with pytest.raises(RunError, match=f"format version {version!r}, expected 2 to {FORMAT_VERSION}"):
        evaluate_run(folder)
