"""A run whose shards train adapters for codes: kept, forgotten, grown, proved."""

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.files.whole import file_digest
from recbole_apa.next_item import identifiers
from recbole_apa.next_item.run import refusals
from recbole_apa.next_item.run.add import add_next_items
from recbole_apa.next_item.run.forget import forget_next_items
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import open_next_items
from tests.helpers.next_item_runs import TITLES, train
from tests.helpers.runs import tree

CODES = "codes.safetensors"
MORE = {**TITLES, "adapters": "codes", "code_levels": 2, "code_size": 3}


@pytest.fixture(scope="module")
def made(next_options, work_folder):
    return train(next_options, work_folder / "code_run", **MORE)


def replace_codes(folder: Path, tensors: dict) -> None:
    """As whoever may write the manifest could."""
    store = NextItemStore(folder)
    manifest = store.manifest()
    path = store.state_folder(manifest) / CODES
    save_file(tensors, path)
    manifest["files"][CODES] = file_digest(path)
    store.put_in_force(manifest)


@pytest.mark.slow
def test_a_run_keeps_codes_and_the_rows_of_drawn_users(made, monkeypatch):
    files = NextItemStore(made.folder).manifest()["files"]
    assert {CODES, *(f"adapters/00{k}.safetensors" for k in range(3))} < set(files)
    rows = {f"{row} of 2 drawn users" for row in ("codes", "codes + heads", "heads")}
    assert rows < set(made.figures) and not any(row.startswith("titles") for row in made.figures)
    monkeypatch.setattr(identifiers, "residual_codes", None)  # opening makes no codes: they are kept
    again = open_next_items(made.folder)
    assert again.figures == made.figures and list(again.figures) == list(made.figures)
    assert again.state.codes.digest == made.state.codes.digest


@pytest.mark.slow
def test_a_request_moves_no_code_and_trains_the_adapter_of_the_hit_shard(folder, monkeypatch):
    before = NextItemStore(folder).manifest()["files"]
    with monkeypatch.context() as patch:
        patch.setattr(identifiers, "residual_codes", None)
        result = forget_next_items(folder, users=["u5"])
    after = NextItemStore(folder).manifest()["files"]
    changed = {name for name in before if before[name] != after[name]}
    shard = result.change.shards[0]
    assert {name for name in changed if name.startswith(("adapters/", "codes"))} == {
        f"adapters/{shard:03d}.safetensors"
    }
    told = json.loads(Path(result.certificates[0]).read_text())
    assert "The codes that they write stay" in told["kept"]
    found = audit_next_items(folder)
    assert found.holds and any("3 adapters by the digests of the sequences or codes" in line for line in found.checked)
    verified = verify_next_items(folder)
    assert verified.differences == [] and {"adapters", "codes"} < set(verified.compared)


@pytest.mark.slow
def test_forgotten_afresh_codes_are_made_again_and_are_the_same(folder, made):
    forget_next_items(folder, users=["u5"], exactness="fresh")
    run = open_next_items(folder)
    assert run.state.codes.digest == made.state.codes.digest and "u5" not in run.state.learnt.shard_of
    assert audit_next_items(folder).holds and verify_next_items(folder).holds


@pytest.mark.slow
def test_rows_that_join_train_the_adapters_of_their_shards_as_a_training_would(folder):
    before = NextItemStore(folder).manifest()["files"]
    change = add_next_items(folder, [("u8", "i2", 4, 9000), ("u8", "i3", 4, 9001)]).change
    after = NextItemStore(folder).manifest()["files"]
    changed = {name for name in before if before[name] != after[name] and name.startswith(("adapters/", "codes"))}
    assert changed == {f"adapters/{shard:03d}.safetensors" for shard in change.shards} and len(changed) == 1
    assert audit_next_items(folder).findings == [] and verify_next_items(folder).differences == []


@pytest.mark.slow
def test_other_codes_are_found_by_audit_and_by_verification(folder):
    tensors = load_file(NextItemStore(folder).state_folder(NextItemStore(folder).manifest()) / CODES)
    tensors["codes"][4, 1] = (tensors["codes"][4, 1] + 1) % 3
    replace_codes(folder, tensors)
    findings = audit_next_items(folder).findings
    assert [k for k in range(3) if any(f"the adapter of shard {k}" in finding for finding in findings)] == [0, 1, 2]
    assert "codes.numbers" in verify_next_items(folder).differences


@pytest.mark.parametrize("damage", ["level", "items", "size", "name"])
def test_damaged_codes_are_refused(folder, damage):
    codes = load_file(NextItemStore(folder).state_folder(NextItemStore(folder).manifest()) / CODES)["codes"]
    others = {"level": codes[:, :1], "items": codes[:-1], "size": codes + 3, "name": codes}
    replace_codes(folder, {"other" if damage == "name" else "codes": others[damage].contiguous()})
    with pytest.raises(RunError, match="restore"):
        open_next_items(folder)


def test_histories_that_codes_make_too_long_are_refused_before_the_request_is_taken(folder, monkeypatch):
    before = tree(folder)
    real = refusals.refuse_long

    def short(items, states, catalogue, sequences):
        states._most = 40  # the titles of the changed users were found to fit just before
        real(items, states, catalogue, sequences)

    monkeypatch.setattr(refusals, "refuse_long", short)
    with pytest.raises(SettingsError, match="show fewer items"):
        forget_next_items(folder, interactions=[("u8", "i9")])
    assert tree(folder) == before
