"""The key file: a run folder alone does not say who was forgotten, however many names are tried."""

import json
import os
import pickle
import shutil
import stat

import pytest
from safetensors.torch import load_file, save_file

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.cli.main import main
from recbole_apa.core.errors import KeyFileError, RequestError, RunError
from recbole_apa.core.files.whole import file_digest, write_json
from recbole_apa.data.forgotten import Digester
from recbole_apa.evidence import Key, KeyRing, key_ring
from recbole_apa.pipeline.workers.processes import ProcessTeam
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.ledger_lines import DONE, Chain
from recbole_apa.runs.manifest import with_check
from recbole_apa.runs.store import RunStore
from tests.helpers.folder_text import folder_text
from tests.helpers.runs import copy_run, lasting, tree


@pytest.fixture
def run_folder(finished, tmp_path):
    return copy_run(finished, tmp_path / "run")


@pytest.mark.slow
def test_a_run_that_forgot_nothing_needs_no_key_and_the_first_request_makes_one(run_folder, key_file, caplog):
    evaluate_run(run_folder)
    assert audit(run_folder).holds and not key_file.parent.exists()
    with pytest.raises(RequestError):
        unlearn(run_folder, users=["nobody"])
    unlearn(run_folder, users=["u3"], dry_run=True)
    assert not key_file.parent.exists()
    assert "made the key file" not in caplog.text
    unlearn(run_folder, users=["u3"])
    assert f"made the key file {key_file}: keep a copy" in caplog.text
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert RunStore(run_folder).manifest()["key"] == key_ring().newest().name
    evaluate_run(run_folder)


@pytest.mark.slow
def test_without_the_right_key_a_run_that_forgot_does_not_open(run_folder, key_file, tmp_path):
    unlearn(run_folder, users=["u3"])
    name, before = key_ring().newest().name, tree(run_folder)
    kept = key_file.rename(tmp_path / "kept.json")
    with pytest.raises(KeyFileError, match=f"needs the key {name}; found: .* does not exist"):
        evaluate_run(run_folder)
    with pytest.raises(KeyFileError, match=name):
        unlearn(run_folder, users=["u4"])
    with pytest.raises(KeyFileError, match=name):
        verify(run_folder)
    assert any(name in f for f in audit(run_folder).findings)
    other = key_ring().rotate()
    with pytest.raises(KeyFileError, match=f"holds {other.name}"):
        evaluate_run(run_folder)
    entry = json.loads(key_file.read_text())["keys"][0]
    key_file.write_text(json.dumps({"format": 1, "keys": [{**entry, "name": name}]}))
    with pytest.raises(KeyFileError, match="wrong secret for the key"):
        evaluate_run(run_folder)
    assert tree(run_folder) == before
    assert audit(run_folder, {"key_file": str(kept)}).holds
    evaluate_run(run_folder, {"key_file": str(kept)})


@pytest.mark.slow
def test_a_run_does_not_say_where_its_key_lies(run_folder, key_file, tmp_path):
    unlearn(run_folder, users=["u3"])
    kept = key_file.rename(tmp_path / "kept.json")
    manifest = json.loads((run_folder / "manifest.json").read_text())
    manifest["options"]["key_file"] = str(kept)
    (run_folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError):
        evaluate_run(run_folder)


@pytest.mark.slow
def test_rotation_adds_a_key_and_what_was_keyed_before_keeps_its_own(run_folder, key_file, capsys):
    unlearn(run_folder, users=["u3"])
    first = key_ring().newest()
    assert main(["--rotate_key"]) == 0 and key_ring().newest() != first
    unlearn(run_folder, users=["u4"])
    names = [e.content["key"] for e in Ledger(run_folder, RunStore(run_folder).salt).requests()]
    assert names == [first.name, key_ring().newest().name]
    with pytest.raises(RequestError, match="forgotten before"):
        unlearn(run_folder, users=["u3"])
    assert audit(run_folder).findings == [] and verify(run_folder).differences == []
    value = json.loads(key_file.read_text())
    key_file.write_text(json.dumps({**value, "keys": value["keys"][1:]}))
    with pytest.raises(KeyFileError, match=first.name):
        evaluate_run(run_folder)


@pytest.mark.slow
def test_a_key_file_that_a_manifest_names_is_not_looked_at(run_folder, key_file, tmp_path):
    """The sender's key would tell him who was forgotten."""
    theirs = tmp_path / "theirs.json"
    KeyRing(theirs).rotate()
    manifest, before = json.loads((run_folder / "manifest.json").read_text()), theirs.read_bytes()
    manifest["options"]["key_file"] = str(theirs)
    write_json(run_folder / "manifest.json", with_check(manifest))
    unlearn(run_folder, users=["u3"])
    assert theirs.read_bytes() == before and RunStore(run_folder).manifest()["key"] == key_ring().newest().name
    assert key_ring().newest() != KeyRing(theirs).newest()


def forge_without_the_key(folder):
    """Another adapter, and every digest that somebody without the key can make of it: plain ones, with no key named."""
    name = "shards/000/adapter_model.safetensors"
    tensors = load_file(folder / name)
    save_file({n: t + 0.01 for n, t in tensors.items()}, folder / name)
    store = RunStore(folder)
    manifest = store.manifest()
    manifest["files"][name] = file_digest(folder / name)
    store.write_manifest(manifest)
    path = folder / "certificates" / "0001.json"
    told = json.loads(path.read_text())
    del told["key"]
    told["files"] = {n: {"before": None, "after": manifest["files"].get(n)} for n in told["files"]}
    write_json(path, told)
    chain = Chain(Ledger(folder, store.salt).origin)
    for line in (folder / "ledger.jsonl").read_text().splitlines():
        values = json.loads(line)
        for made in ("position", "previous", "check"):
            del values[made]
        if values["kind"] == DONE:
            del values["key"]
            values["manifest"] = store.manifest_digest()
            values["certificates"] = {n: file_digest(folder / "certificates" / n) for n in values["certificates"]}
        chain.add(values)
    (folder / "ledger.jsonl").write_text("".join(chain.lines))


def test_a_keyed_digest_cannot_be_replaced_by_a_plain_one(run_folder, key_file):
    """Without the key's name a digest of the forged manifest was taken as it stood, and the audit held."""
    unlearn(run_folder, users=["u3"])
    forge_without_the_key(run_folder)
    before = tree(run_folder)
    for use in (evaluate_run, lambda folder: unlearn(folder, users=["u4"])):
        with pytest.raises(RunError, match="names no key"):
            use(run_folder)
    assert any("names no key" in f for f in audit(run_folder).findings)
    assert tree(run_folder) == before


@pytest.mark.slow
def test_nothing_in_the_folder_can_be_found_by_trying_names(finished, run_folder, key_file):
    """Every digest that a stranger can make, of every row, user, item and pair, and of the files and the dataset as
    they were: none is in the folder."""
    store = RunStore(run_folder)
    before, salt = store.manifest(), store.salt
    dataset = finished.data[0]._dataset
    rows, digester = dataset.interactions, Digester(salt)
    unlearn(run_folder, users=["u3"])
    unlearn(run_folder, interactions=[("u5", rows.items[rows.users.texts().index("u5")])])
    text = folder_text(run_folder)
    tried = {digester.of(key) for key in rows.row_keys(range(len(rows)))}
    for kind, names in (("user", rows.users.names), ("item", rows.items.names)):
        tried |= {digester.of(kind, name) for name in names} | {digester.of(f"{kind} {name}") for name in names}
    tried |= {digester.of("partly", name) for name in rows.users.names}
    for user, item in zip(rows.users.texts(), rows.items.texts(), strict=True):
        tried |= {digester.of("pair", user, item), digester.of(f"pair {user} {item}")}
    after = store.manifest()["files"]
    tried |= {d for name, d in before["files"].items() if after.get(name) != d}
    tried |= {before["dataset"], before["dataset_sums"], dataset.old_digest, before["identity_digest"]}
    left = evaluate_run(run_folder).data[0]._dataset
    tried |= {left.old_digest, left.digest(salt.encode()).hex(), left.digest(salt.encode()).text()}
    assert len(tried) > 500 and not [digest for digest in tried if digest in text]


def test_the_key_file_is_refused_inside_the_run_and_where_it_cannot_be_written(run_folder, monkeypatch, tmp_path):
    before = tree(run_folder)
    (tmp_path / "file").write_text("")
    for place, problem in ((run_folder / "keys.json", "is inside the run"), (tmp_path / "file" / "k", "cannot")):
        with pytest.raises(KeyFileError, match=problem):
            unlearn(run_folder, users=["u3"], config_dict={"key_file": str(place)})
    assert tree(run_folder) == before


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": 2, "keys": []}', '{"format": 1, "keys": [{"name": "x"}]}'])
def test_a_damaged_key_file_is_never_written_over(text, key_file):
    key_file.parent.mkdir()
    key_file.write_text(text)
    for use in (lambda: key_ring().newest(), lambda: key_ring().rotate()):
        with pytest.raises(KeyFileError, match="key file"):
            use()
    assert key_file.read_text() == text


def test_two_first_requests_at_once_keep_both_keys(key_file):
    rings = [key_ring(), key_ring()]
    keys = [ring.newest() for ring in rings]
    for ring, key in zip(rings, keys, strict=True):
        ring.keep(key)
    assert [key_ring().key(key.name) for key in keys] == keys
    assert "secret" not in repr(keys[0])


@pytest.mark.slow
def test_workers_are_given_samples_and_no_key(run_folder, key_file, monkeypatch):
    sent, begin = [], ProcessTeam.__init__

    def told(team, setup, n_workers):
        sent.append(pickle.dumps(setup))
        begin(team, setup, n_workers)

    monkeypatch.setattr(ProcessTeam, "__init__", told)
    unlearn(run_folder, users=["u3"], config_dict={"workers": 2})
    (setup,) = sent
    assert key_ring().newest().secret not in setup and str(key_file).encode() not in setup
    assert b"u3:" not in setup
    samples = evaluate_run(run_folder).data.train_set.samples
    assert all(sample.sample_id.encode() in setup for sample in samples)


@pytest.mark.slow  # test_unlearning forgets by two processes as well
def test_workers_train_what_a_request_left(run_folder, key_file, tmp_path):
    alone = shutil.copytree(run_folder, tmp_path / "alone")
    unlearn(run_folder, users=["u3"], config_dict={"workers": 2})
    unlearn(alone, users=["u3"])
    digests = [{n: d for n, d in tree(f).items() if n.endswith(".safetensors")} for f in (run_folder, alone)]
    assert digests[0] == digests[1] and digests[0]


def test_a_key_is_known_by_its_name_and_keys_differ(tmp_path):
    keys = [Key(bytes([n]) * 32) for n in range(3)]
    assert len({key.name for key in keys}) == len({key.keyed("00" * 32) for key in keys}) == 3
    ring = KeyRing(tmp_path / "k.json")
    for key in keys:
        ring.keep(key)
    digest = file_digest(tmp_path / "k.json")
    ring.keep(keys[0])
    assert file_digest(tmp_path / "k.json") == digest and ring.newest() == keys[2]


@pytest.mark.slow
def test_the_item_lines_that_only_the_forgotten_had_may_go(options, data_folder, tmp_path):
    """The run could not be opened any more. A changed text of an item that is left is still refused."""
    board = shutil.copytree(data_folder / "board", tmp_path / "data" / "board")
    inter, item = board / "board.inter", board / "board.item"
    inter.write_text(inter.read_text() + "u3\ti99\t5\t3999\n")
    item.write_text(item.read_text() + "i99\tThe Odd One\t1999\n")
    made = run("APA", "board", config_dict={**options, "data_path": str(board.parent)}, run_dir=tmp_path / "run")
    unlearn(made.run_dir, users=["u3"])
    before = lasting(evaluate_run(made.run_dir).metrics)
    inter.write_text("".join(line for line in inter.read_text().splitlines(True) if not line.startswith("u3\t")))
    item.write_text("".join(line for line in item.read_text().splitlines(True) if not line.startswith("i99\t")))
    assert lasting(evaluate_run(made.run_dir).metrics) == before
    assert audit(made.run_dir).findings == [] and verify(made.run_dir).differences == []
    unlearn(made.run_dir, users=["u4"])
    assert audit(made.run_dir).holds
    item.write_text(item.read_text().replace("Even Film 4", "Even Film IV"))
    with pytest.raises(RunError, match="not the one that the run was made of"):
        evaluate_run(made.run_dir)


def test_a_key_file_behind_a_link_stays_one_file_and_keeps_its_rights(tmp_path):
    shared, mine = tmp_path / "team" / "keys.json", tmp_path / "mine.json"
    KeyRing(shared).rotate()
    shared.chmod(0o640)
    mine.symlink_to(shared)
    key = KeyRing(mine).rotate()
    assert mine.is_symlink() and KeyRing(shared).newest() == key and len(json.loads(shared.read_text())["keys"]) == 2
    assert stat.S_IMODE(shared.stat().st_mode) == 0o640
    shared.chmod(0o644)
    KeyRing(mine).rotate()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o640


def test_a_key_file_is_on_disk_before_it_counts(tmp_path, monkeypatch):
    synced, original = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (synced.append(os.readlink(f"/proc/self/fd/{handle}")), original(handle))
    )
    KeyRing(tmp_path / "a" / "b" / "keys.json").rotate()
    folders = {str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")}
    assert folders <= set(synced) and any(name.endswith(".tmp") for name in synced)


def test_a_key_made_at_the_same_moment_without_locks_is_not_lost(tmp_path, monkeypatch):
    """The other process makes the file after this one has looked, and before it writes."""
    path, link = tmp_path / "keys.json", os.link
    other, mine = Key.new(), Key.new()

    def overtaken(source, target):
        monkeypatch.setattr(os, "link", link)
        KeyRing(path).keep(other)
        return link(source, target)

    monkeypatch.setattr(os, "link", overtaken)
    monkeypatch.setattr("fcntl.flock", lambda *a: (_ for _ in ()).throw(OSError("no locks")))
    KeyRing(path).keep(mine)
    assert KeyRing(path).key(other.name) == other and KeyRing(path).key(mine.name) == mine
