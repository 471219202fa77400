"""The audit names what is damaged or does not belong, whatever it is; readers see one state."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmarks.attacks import tampering
from recbole_apa import audit, evaluate_run
from recbole_apa.cli.main import main
from recbole_apa.core.errors import APAError, RunError
from recbole_apa.core.files.whole import file_digest
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.ledger_lines import REQUEST
from recbole_apa.runs.store import RunStore
from tests.helpers.places import ROOT
from tests.helpers.runs import copy_run


def resealed(folder, name, change):
    """Change a file of tensors, and make the manifest say that it is what it should be."""
    tensors = load_file(folder / name)
    change(tensors)
    save_file(tensors, folder / name)
    store = RunStore(folder)
    manifest = store.manifest()
    manifest["files"][name] = file_digest(folder / name)
    store.write_manifest(manifest)


def spoilt(key, how):
    def change(tensors):
        name = key or next(iter(tensors))
        tensors[name] = how(tensors[name]).contiguous()

    return change


def with_nan(tensor):
    out = tensor.clone()
    out.view(-1)[0] = float("nan")
    return out


ADAPTER = "shards/000/adapter_model.safetensors"


@pytest.mark.quick(5)
@pytest.mark.parametrize(
    ("name", "key", "how", "says"),
    [
        (ADAPTER, None, with_nan, "NaN or infinite"),
        (ADAPTER, None, lambda t: t / 0, "NaN or infinite"),
        (ADAPTER, None, lambda t: t.round().long(), "int64, expected float32"),
        (ADAPTER, None, lambda t: t.half(), "float16, expected float32"),
        (ADAPTER, None, lambda t: t[:1], "do not match"),
        (ADAPTER, None, lambda t: t.flatten(), "expected 2 dimensions"),
        ("embeddings.safetensors", None, with_nan, "NaN or infinite"),
        ("embeddings.safetensors", None, lambda t: t[1:], "29 rows for 30 training samples"),
        ("embeddings.safetensors", None, lambda t: t.double(), "float64, expected float32"),
        ("memory.safetensors", "scores", with_nan, "NaN or infinite"),
        ("memory.safetensors", "scores", lambda t: t + 2, "outside 0 to 1"),
        ("memory.safetensors", "errors", lambda t: t * 0, "do not follow from its labels and scores"),
        ("memory.safetensors", "users", lambda t: t.flip(0), "other users"),
        ("memory.safetensors", "active", lambda t: t * 0, "marks other shards as active"),
        ("memory.safetensors", "labels", lambda t: t[1:], "rows, others have"),
        ("partition.safetensors", "centres", with_nan, "NaN or infinite"),
        ("partition.safetensors", "centres", lambda t: t[:, 1:], "centres of a different size"),
    ],
)
def test_tensors_that_cannot_be_are_named_though_their_digests_fit(name, key, how, says, finished, tmp_path):
    run = copy_run(finished, tmp_path / "run")
    resealed(run, name, spoilt(key, how))
    findings = audit(run).findings
    assert any(says in f and Path(name).name.split(".")[0] in f for f in findings), findings


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", [ADAPTER, "memory.safetensors", "partition.safetensors", "embeddings.safetensors"])
@pytest.mark.parametrize("change", [lambda d: d[:9], lambda d: d + b"x", lambda d: b"\xff" * 8 + d[8:], lambda d: b""])
def test_a_damaged_file_of_tensors_is_named_though_its_digest_fits(name, change, finished, tmp_path):
    run = copy_run(finished, tmp_path / "run")
    (run / name).write_bytes(change((run / name).read_bytes()))
    store = RunStore(run)
    manifest = store.manifest()
    manifest["files"][name] = file_digest(run / name)
    store.write_manifest(manifest)
    assert any(f"{name} is damaged" in f for f in audit(run).findings)
    if "embeddings" not in name:  # evaluation does not read those
        with pytest.raises(RunError, match="is damaged"):
            evaluate_run(run)


ODD = [
    "[" * 100_000,
    '{"a": ' + "9" * 5000 + "}",
    '{"a": "\\ud800"}',
    '{"a": NaN}',
    '{"a": 1e999}',
    "[]",
    "null",
    "{",
    "",
]


@pytest.mark.quick(1)
@pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
def test_odd_json_is_named_everywhere(text, folder, capsys):
    for name in ("lineage.json", "partition.json", "shards/000/training.json", "certificates/0001.json"):
        before = (folder / name).read_text()
        (folder / name).write_text(text)
        assert any(name in f for f in audit(folder).findings), name
        (folder / name).write_text(before)
    assert audit(folder).holds
    (folder / "manifest.json").write_text(text)
    assert not audit(folder).holds
    capsys.readouterr()
    for command in ([], ["--audit"], ["--verify"], ["--forget_users=u5"], ["--resume"], ["--copy_to=copy"]):
        status = main([f"--run={folder}", *command])
        said = capsys.readouterr()
        assert (status in (1, 2) and "manifest.json" in said.out + said.err) or command == ["--copy_to=copy"]


def test_a_changed_key_in_a_certificate_is_named(folder):
    path = folder / "certificates" / "0001.json"
    path.write_text(path.read_text().replace('"request"', '"requezt"'))
    assert audit(folder).findings == ["certificates/0001.json was changed after it was written"]


def last(old, new):
    """Change the last place where ``old`` stands."""
    return lambda data: new.join(data.rsplit(old, 1))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d + b"torn", "4 bytes after its last line"),
        (lambda d: d[:-1] + b" \n", "does not follow"),
        (
            lambda d: d[: d.rindex(b'"time": "2')] + d[d.rindex(b'"time": "2') :].replace(b"2", b"3", 1),
            "does not follow",
        ),
        (lambda d: d[: d.rindex(b'"check"')] + b'"chekc"' + d[d.rindex(b'"check"') + 7 :], "does not follow"),
        (lambda d: d[: d.rindex(b'"requests"')] + b'"requestz"' + d[d.rindex(b'"requests"') + 10 :], "does not follow"),
        (lambda d: d[: d[:-1].rindex(b"\n") + 1], "waits to be carried out"),
        (lambda d: b"", "is missing, although"),
    ],
)
def test_every_change_at_the_ledgers_end_is_found(change, says, folder):
    path = folder / "ledger.jsonl"
    path.write_bytes(change(path.read_bytes()))
    assert any(says in f for f in audit(folder).findings)


def test_lines_of_an_older_version_carry_no_digest_and_that_is_said(tmp_path):
    ledger = Ledger(tmp_path, "salt")
    entry = ledger.append(REQUEST, {"interactions": ["ab"]})
    old = {k: v for k, v in entry.content.items() if k != "check"}
    ledger.path.write_text(json.dumps(old, sort_keys=True) + "\n")
    assert len(ledger.entries()) == 1
    ledger.append(REQUEST, {"interactions": ["cd"]})
    assert len(ledger.entries()) == 2


def as_link(path):
    shutil.move(path, path.parent.parent.parent / "copy")
    path.symlink_to(path.parent.parent.parent / "copy")


@pytest.mark.quick(4)
@pytest.mark.parametrize(
    ("name", "do", "says"),
    [
        ("shards/000/adapter_model.safetensors", as_link, "is a link"),
        ("shards/001", as_link, "is a link"),
        ("figures", as_link, "is a link"),
        ("shards/new", Path.mkdir, "is an empty folder"),
        ("figures/pipe", os.mkfifo, "is a FIFO"),
        ("shards/nothing", lambda p: p.symlink_to("/nowhere"), "is a link"),
        ("shards/.lock", lambda p: p.write_text(""), "leftover"),
        ("figures/.lock-holder.json", lambda p: p.write_text("{}"), "leftover"),
        (".lock", lambda p: p.write_text("an old adapter"), "is not empty, as a lock should be"),
        (".lock-holder.json", lambda p: p.write_text('{"purpose": "an old adapter"}'), "something other than who"),
    ],
)
def test_what_is_no_plain_file_of_the_run_is_found(name, do, says, folder):
    do(folder / name)
    assert any(f.startswith(f"{name} ") and says in f for f in audit(folder).findings)


def test_the_lock_of_a_killed_process_is_no_finding(folder, monkeypatch):
    from recbole_apa.runs.lock import run_lock

    with run_lock(folder, "unlearning"):
        kept = (folder / ".lock-holder.json").read_bytes()
        assert audit(folder).holds  # and beside one that runs
    (folder / ".lock-holder.json").write_bytes(kept)
    assert audit(folder).holds
    (folder / ".lock-holder.json").write_bytes(kept + b" u3:i2")
    assert not audit(folder).holds


@pytest.mark.parametrize("name", ["partition.json", "partition.safetensors", "embeddings.safetensors", "lineage.json"])
def test_a_file_of_the_state_that_is_gone_is_named_though_something_was_forgotten(name, folder):
    (folder / name).unlink()
    assert any(name in f and "missing" in f for f in audit(folder).findings)


@pytest.mark.slow
def test_a_sample_of_all_tamperings_is_found(tmp_path, monkeypatch):
    """``python -m benchmarks.attacks.tampering`` does all of them."""
    monkeypatch.chdir(tmp_path)
    served, plain = tmp_path / "served", tmp_path / "plain"
    tampering.make_runs(served, plain)
    assert tampering.outcome(served / "run", {})[0] == tampering.PASSED
    todo = tampering.cases(served, 1, seed=0)
    records = list(tampering.attack(served, todo[:: len(todo) // 40], float("inf")))
    lost = [r for r in records if r["outcome"] not in (tampering.FOUND, tampering.REFUSED, "as it was")]
    assert len(records) >= 40 and not lost
    assert "found" in tampering.table(records)


@pytest.mark.slow
@pytest.mark.soak
def test_all_tamperings_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    served, plain = tmp_path / "served", tmp_path / "plain"
    tampering.make_runs(served, plain)
    records = [
        *tampering.forged_statistics(plain / "run", tampering.outcome),
        *tampering.forgeries(plain / "run", tampering.outcome),
        *tampering.attack(served, tampering.cases(served, 2, seed=1), float("inf")),
        *tampering.attack(plain, tampering.cases(plain, 1, seed=1), float("inf")),
    ]
    lost = [r for r in records if r["outcome"] not in (tampering.FOUND, tampering.REFUSED, "as it was")]
    assert len(records) > 1000 and not lost


def test_the_command_line_prints_notices_apart_and_ends_with_0(capsys, tmp_path):
    old = ROOT / "tests" / "data" / "old_runs"
    run = Path(shutil.copytree(old / "plain" / "run", tmp_path / "run"))
    places = [f"--data_path={old / 'data'}", f"--backbone={old / 'backbone'}"]
    assert main([f"--run={run}", "--audit", *places]) == 0
    said = capsys.readouterr().out
    assert "notice: the run has format 2" in said and "FOUND" not in said and "the audit holds" in said


def test_no_number_of_a_strangers_reaches_an_adapter(finished, tmp_path):
    """A single row was stretched over all of an adapter's."""
    run = copy_run(finished, tmp_path / "run")

    def one_row(tensors):
        for name in [n for n in tensors if "lora_A" in n]:
            tensors[name] = torch.ones(1, tensors[name].shape[1])
            partner = name.replace("lora_A", "lora_B")
            tensors[partner] = tensors[partner][:, :1].contiguous()

    resealed(run, ADAPTER, one_row)
    with pytest.raises(APAError, match="has shape"):
        evaluate_run(run)
    assert any("a different shape" in f for f in audit(run).findings)
