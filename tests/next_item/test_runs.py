"""A run is trained, forgets, and is proved; whatever is killed when, it is in the old state or in the new one."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from recbole_apa.core.errors import FinishedRunError, RequestError, RunError, SettingsError
from recbole_apa.core.files.whole import file_digest
from recbole_apa.next_item import change, derive
from recbole_apa.next_item.run import opened, pending, proof, refusals, session
from recbole_apa.next_item.run.add import add_next_items
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.recommend import recommend
from recbole_apa.next_item.run.store import NextItemStore, is_next_item_run
from recbole_apa.next_item.run.train import open_next_items, run_next_items
from tests.helpers.runs import tree


@pytest.fixture(scope="module")
def made(head_run):
    return head_run


@pytest.fixture(scope="module")
def forgotten(made, tmp_path_factory) -> Path:
    """A run that forgot a user, an interaction, and an item, one after another."""
    target = Path(shutil.copytree(made.folder, tmp_path_factory.mktemp("forgotten") / "run"))
    forget_next_items(target, users=["u5"])
    forget_next_items(target, interactions=[("u7", "i9")])
    forget_next_items(target, items=["i4"])
    return target


def test_a_run_is_kept_and_opened_again(made, next_options):
    assert is_next_item_run(made.folder) and not is_next_item_run(made.folder / "state-0001")
    again = open_next_items(made.folder)
    assert again.figures == made.figures and "APANext" in again.table
    assert {"APANext", "heads alone", "one head on everything", "times chosen"} == set(made.figures)
    assert made.figures["APANext"]["test.ndcg@10"] > made.figures["times chosen"]["test.ndcg@10"]
    with pytest.raises(FinishedRunError):
        run_next_items("chains", config_dict=next_options, run_dir=made.folder)


def test_one_shard_changes_and_the_others_keep_their_bytes(folder):
    before = NextItemStore(folder).manifest()["files"]
    result = forget_next_items(folder, users=["u5"])
    after = NextItemStore(folder).manifest()["files"]
    heads = [name for name in before if name.startswith("heads/") and before[name] != after[name]]
    assert len(result.change.shards) == len(heads) == 1 and result.change.gone == ("u5",)
    assert "u5" not in "".join(p.read_text() for p in folder.rglob("*.json*"))
    told = json.loads(Path(result.certificates[0]).read_text())
    assert told["users"] == {"changed": 1, "gone": 1} and told["shards"]["total"] == 3
    assert not (folder / "state-0001").exists()


def test_after_requests_the_run_is_what_a_training_without_the_rows_gives(forgotten):
    found = audit_next_items(forgotten)
    assert found.holds and found.findings == [] and len(found.checked) == 4
    verified = verify_next_items(forgotten)
    assert verified.differences == [] and verified.comparable and "shards of the training before" in verified.means


def test_without_its_key_an_audit_does_not_hold(forgotten, tmp_path):
    """Of a run of APA as well: an audit that ends with an error is not told from one that was not made."""
    (finding,) = audit_next_items(forgotten, {"key_file": str(tmp_path / "none.json")}).findings
    assert "none.json does not exist" in finding


@pytest.mark.slow
def test_fresh_takes_nothing_over(folder):
    forget_next_items(folder, users=["u5"], exactness="fresh")
    verified = verify_next_items(folder)
    assert verified.holds and "nothing is taken over" in verified.means


def test_rows_that_were_forgotten_may_be_in_the_files_or_not(forgotten, chains, tmp_path):
    shutil.copytree(chains / "chains", tmp_path / "chains")
    inter = tmp_path / "chains" / "chains.inter"
    lines = inter.read_text().splitlines(keepends=True)
    gone = ("u5\t", "u7\ti9\t")
    inter.write_text("".join(line for line in lines if not line.startswith(gone) and "\ti4\t" not in line))
    changes = {"data_path": str(tmp_path)}
    assert open_next_items(forgotten, changes).figures == open_next_items(forgotten).figures
    inter.write_text("".join(line for line in lines if not line.startswith("u8\t")))
    with pytest.raises(RunError, match="1 users have other rows"):
        open_next_items(forgotten, changes)


def test_what_is_refused_changes_nothing(forgotten, folder):
    before = tree(forgotten)
    for request, words in (
        ({"users": ["u5"]}, "was forgotten before"),
        ({"users": ["nobody"]}, "no such user"),
        ({"users": [f"u{i}" for i in range(14) if i != 5]}, None),
    ):
        with pytest.raises(Exception, match=words) as caught:
            forget_next_items(forgotten, **request)
        assert type(caught.value).__name__ in ("RequestError", "DataError")
    assert tree(forgotten) == before
    dry = forget_next_items(folder, users=["u5"], dry_run=True)
    assert dry.is_dry and dry.change.gone == ("u5",) and NextItemStore(folder).manifest()["served"] == []
    with pytest.raises(RequestError, match="found no request"):
        forget_next_items(folder)
    with pytest.raises(SettingsError, match="exactness"):
        forget_next_items(folder, users=["u5"], exactness="strict")


def test_what_a_request_changes_is_worked_out_once(folder, monkeypatch):
    calls = {"change": 0, "read": 0}

    def counted(name, real):
        def call(*arguments, **more):
            calls[name] += 1
            return real(*arguments, **more)

        return call

    monkeypatch.setattr(change, "_change", counted("change", change._change))
    for module in (opened, session):
        monkeypatch.setattr(module, "read_next_data", counted("read", module.read_next_data))
    forget_next_items(folder, users=["u5"])
    assert calls == {"change": 1, "read": 2}  # of the data before and after
    add_next_items(folder, [("u8", "i2", 4, 9000)])
    assert calls == {"change": 2, "read": 4}
    forget_next_items(folder, users=["u6"], dry_run=True)
    assert calls == {"change": 3, "read": 6}


@pytest.mark.parametrize("step", ["put_new_state", "finish_request"])
def test_a_killed_request_is_finished_by_the_next_call(folder, monkeypatch, step):
    real = getattr(session, step)
    calls = []

    def killed(*arguments):
        calls.append(step)
        if step == "finish_request" and len(calls) == 1:
            return real(*arguments)  # the call at the start of a request has nothing to finish
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session, step, killed)
        with pytest.raises(KeyboardInterrupt):
            forget_next_items(folder, users=["u5"])
    with pytest.raises(RunError, match="--resume"):
        open_next_items(folder)
    assert audit_next_items(folder).findings
    result = forget_next_items(folder)
    assert len(result.certificates) == 1 and audit_next_items(folder).holds
    with pytest.raises(RequestError):
        forget_next_items(folder, users=["u5"])


def test_a_request_that_waited_is_not_taken_twice(folder, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(session, "put_new_state", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            forget_next_items(folder, users=["u5"])
    forget_next_items(folder, users=["u5"])
    assert len(NextItemStore(folder).manifest()["served"]) == 1


def test_a_state_that_was_changed_is_found(folder):
    forget_next_items(folder, users=["u5"])
    store = NextItemStore(folder)
    path = store.state_folder(store.manifest()) / "heads" / "000.safetensors"
    tensors = load_file(path)
    tensors["head"][0, 0] += 1e-12
    save_file(tensors, path)
    assert "its digest differs" in audit_next_items(folder).findings[0]
    with pytest.raises(RunError, match="digest differs"):
        open_next_items(folder)


def test_an_audit_derives_the_heads_again(folder):
    """Whoever changes a file and the manifest with it does not get past the sums."""
    store = NextItemStore(folder)
    manifest = store.manifest()
    path = store.state_folder(manifest) / "heads" / "000.safetensors"
    tensors = load_file(path)
    tensors["head"][0, 0] += 1e-12
    save_file(tensors, path)
    manifest["files"]["heads/000.safetensors"] = file_digest(path)
    store.put_in_force(manifest)
    assert any("heads.weights" in finding for finding in audit_next_items(folder).findings)


@pytest.mark.parametrize("size, holds", [(1e-12, True), (1e-4, False)])
def test_an_audit_on_another_kind_of_machine_compares_heads_to_six_digits(folder, monkeypatch, size, holds):
    """Another processor rounds a head's solution otherwise; that is no forgery."""
    kind, solve = type(proof.machine_kind("cpu")), derive.solve_head
    monkeypatch.setattr(derive, "solve_head", lambda *given: solve(*given) * (1 + size))
    assert not audit_next_items(folder).holds
    monkeypatch.setattr(proof, "machine_kind", lambda device: kind("X", "Y", "Z", "L", "cpu", "P"))
    found = audit_next_items(folder)
    assert found.holds == holds and any("another kind of machine" in line for line in found.notices)


def test_a_manifest_that_was_edited_after_a_request_is_found(folder):
    forget_next_items(folder, users=["u5"])
    store = NextItemStore(folder)
    store.put_in_force({**store.manifest(), "partition_of": "this data"})
    assert "changed after the last request" in audit_next_items(folder).findings[0]
    with pytest.raises(RunError, match="changed after the last request"):
        forget_next_items(folder, users=["u6"])


def test_leftovers_are_found(folder):
    (folder / "state-0009").mkdir()
    assert "does not belong" in audit_next_items(folder).findings[0]
    forget_next_items(folder, users=["u5"])  # what is not in force goes with the next request
    assert audit_next_items(folder).holds


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("certificates/names.txt", "not a certificate that the ledger lists"),
        (".lock-names.txt", "does not belong"),
        ("state-0001/u5/", "does not belong"),
    ],
)
def test_whatever_lies_in_the_folder_is_part_of_the_run_or_found(folder, name, says):
    forget_next_items(folder, users=["u5"])
    NextItemStore(folder).remove_states("state-0002")
    path = folder / name.replace("state-0001", "state-0002")
    if name.endswith("/"):
        path.mkdir()
    else:
        path.write_text("u5")
    (found,) = audit_next_items(folder).findings
    assert str(path) in found and says in found


def test_a_state_of_before_without_the_ledger_does_not_hide_the_certificates(folder, tmp_path):
    before = Path(shutil.copytree(folder, tmp_path / "before"))
    forget_next_items(folder, users=["u5"])
    shutil.copytree(folder / "certificates", before / "certificates")
    findings = audit_next_items(before).findings
    assert findings and all("not a certificate that the ledger lists" in found for found in findings)


def test_a_link_in_place_of_the_state_and_a_damaged_list_of_exports_are_found(folder, tmp_path):
    state = next(folder.glob("state-*"))
    moved = Path(shutil.move(state, tmp_path / "elsewhere"))
    state.symlink_to(moved)
    (folder / "exports.json").write_text("{")
    found = audit_next_items(folder).findings
    assert len(found) == 2 and str(state) in found[0] and "exports.json" in found[1]


@pytest.mark.quick(1)
@pytest.mark.parametrize("evidence", ["none", "transitions"])
def test_heads_with_less_evidence_and_hashed_users(next_options, tmp_path, evidence):
    options = {**next_options, "evidence": evidence, "partition": "hashed_user"}
    run = run_next_items("chains", config_dict=options, run_dir=tmp_path / "run")
    assert (run.state.fusion is None) == ("heads alone" not in run.figures) == (evidence == "none")
    terms = {"language model", "what follows"} if evidence == "transitions" else set()
    assert set(recommend(run.folder, "u4")[0].terms) == terms
    told = json.loads(Path(forget_next_items(run.folder, users=["u9"]).certificates[0]).read_text())
    assert "nothing is taken over" not in told["means"] and "all was kept" in told["kept"]  # in two shards
    verified = verify_next_items(run.folder)
    assert verified.holds and "nothing is taken over" in verified.means  # of what it was compared with
    assert audit_next_items(run.folder).holds


def test_options_that_have_no_part_are_refused(next_options):
    for name, value in (
        ("lora_rank", 4),
        ("eval_args", {"mode": "uni100"}),
        ("workers", 2),
        ("head_ridge", 0),
        ("topk", [19]),
    ):
        with pytest.raises(SettingsError, match=name):
            run_next_items("chains", config_dict={**next_options, name: value})


def test_another_machine_is_refused(folder, monkeypatch):
    kind = type(refusals.machine_kind("cpu"))
    monkeypatch.setattr(refusals, "machine_kind", lambda device: kind("X", "Y", "Z", "L", "cpu", "P"))
    with pytest.raises(SettingsError, match="another kind of machine"):
        forget_next_items(folder, users=["u5"])


def test_states_of_another_backbone_are_not_subtracted(folder, monkeypatch):
    """Where a pass gives other bits than at the training, the sums would keep a rest of what was to go."""
    from recbole_apa.next_item import backbone_states

    real = backbone_states.HistoryStates._read
    monkeypatch.setattr(backbone_states.HistoryStates, "_read", lambda self, h: real(self, h) + torch.tensor(0.5))
    with pytest.raises(RunError, match="other states"):
        forget_next_items(folder, users=["u5"])
    assert pending.CERTIFICATE == "certificate.json" and NextItemStore(folder).manifest()["served"] == []
