"""Frozen states on disk: found again, right, and without what was forgotten."""

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from recbole_apa import audit, evaluate_run, run, unlearn, verify
from recbole_apa.core.seeding import digest_of
from recbole_apa.runs.names import EMBEDDINGS, MEMORY, STATES
from recbole_apa.runs.store import RunStore
from recbole_apa.runs.trunk_activations import activation_name
from tests.helpers.inside import inside
from tests.helpers.runs import shown_interaction, state

pytestmark = pytest.mark.slow


def kept(folder):
    with safe_open(folder / STATES, "pt") as file:
        return {name.split(".")[0] for name in list(file.keys())}


def names_of(result, *parts):
    return {activation_name(p) for i in parts for p in result.model.prompts(result.data[i]._dataset.labelled)}


def count_reads(monkeypatch):
    """Token sequences that the trunk reads from now on."""
    from recbole_apa.backbone.split_decoder import SplitDecoder

    read, real = [], SplitDecoder.trunk
    monkeypatch.setattr(SplitDecoder, "trunk", lambda self, ids: read.extend(ids) or real(self, ids))
    return read


def test_a_request_on_a_run_from_disk_reads_rewritten_prompts_alone(options, finished, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    made = run("APA", "board", config_dict={**options, "keep_states": True, "variants": "none"}, run_dir=folder)
    assert kept(folder) == names_of(made, 0, 1)
    read = count_reads(monkeypatch)
    result = unlearn(folder, interactions=[shown_interaction(finished)]).outcomes[0].result
    rewritten = names_of(result, 0, 1) - names_of(made, 0, 1)
    seen = {digest_of(*ids).hex() for ids in read}
    assert rewritten and seen & names_of(result, 0, 1) == rewritten
    assert kept(folder) == names_of(result, 0, 1)
    monkeypatch.undo()
    assert audit(folder).holds and verify(folder).holds


@pytest.fixture(scope="module")
def bare(options, work_folder):
    """The state of a run that keeps no activations."""
    folder = work_folder / "without_states"
    with inside(work_folder):
        run("APA", "board", config_dict={**options, "keep_states": False}, run_dir=folder)
    found = state(folder)
    assert STATES not in found and STATES not in RunStore(folder).lineage()
    return {name: of for name, of in found.items() if name != "lineage.json"}


def test_states_on_disk_change_no_bit(options, bare, tmp_path):
    folder = tmp_path / "run"
    run("APA", "board", config_dict={**options, "keep_states": True}, run_dir=folder)
    mine = state(folder)
    assert mine.pop(STATES) and mine.pop("lineage.json")
    assert mine == bare


def test_states_of_validation_samples_alone_change_no_bit_and_spare_the_memory_their_reading(
    options, bare, finished, tmp_path, monkeypatch
):
    """A request reads only prompts that it rewrites, and test samples; the memory's are on disk. That is the default,
    and does not depend on the cache."""
    folder, few = tmp_path / "run", {**options, "keep_states": "validation", "trunk_cache_gib": 0}
    made = run("APA", "board", config_dict=few, run_dir=folder)
    assert kept(folder) == names_of(made, 1) and set(RunStore(folder).lineage()[STATES]) == set(
        RunStore(folder).lineage()[MEMORY]
    )
    mine = state(folder)
    assert mine == state(finished.run_dir)
    assert mine.pop(STATES) and mine.pop("lineage.json")
    assert mine == bare
    read = count_reads(monkeypatch)
    result = unlearn(folder, users=["u3"]).outcomes[0].result
    seen = {digest_of(*ids).hex() for ids in read}
    assert not seen & (names_of(made, 1) & names_of(result, 1))
    assert kept(folder) == names_of(result, 1) < names_of(made, 1)
    assert RunStore(folder).lineage()[STATES].keys() == RunStore(folder).lineage()[MEMORY].keys()
    monkeypatch.undo()
    assert audit(folder).findings == [] and verify(folder).differences == []


def test_states_of_validation_samples_that_are_too_large_are_not_kept(options, tmp_path, monkeypatch):
    monkeypatch.setattr("recbole_apa.model.kept_activations.MOST_BYTES", 1000)
    folder = tmp_path / "run"
    run("APA", "board", config_dict={**options, "epochs": 1, "keep_states": "validation"}, run_dir=folder)
    assert not (folder / STATES).exists() and STATES not in RunStore(folder).lineage()
    unlearn(folder, users=["u3"])
    assert not (folder / STATES).exists() and audit(folder).findings == []


def test_an_audit_finds_validation_states_beside_a_lineage_of_all(options, tmp_path):
    folder = tmp_path / "run"
    run("APA", "board", config_dict={**options, "epochs": 1, "keep_states": "validation"}, run_dir=folder)
    store = RunStore(folder)
    seen = store.lineage()
    store.save_lineage({**seen, STATES: {**seen[STATES], **dict(list(seen[EMBEDDINGS].items())[:1])}})
    store.seal({})
    assert any(f"lineage of {STATES}" in finding for finding in audit(folder).findings)


def test_no_state_of_the_forgotten_stays_and_those_that_do_are_found(options, tmp_path):
    folder = tmp_path / "run"
    made = run("APA", "board", config_dict={**options, "epochs": 1, "keep_states": True}, run_dir=folder)
    before = kept(folder)
    old = load_file(folder / STATES)
    after = unlearn(folder, users=["u3"]).outcomes[0].result
    gone = names_of(made, 0, 1) - names_of(after, 0, 1)
    assert gone and gone <= before and not gone & kept(folder)
    assert audit(folder).holds and verify(folder).holds
    save_file(old, folder / STATES)
    assert any(STATES in finding for finding in audit(folder).findings)
    assert any(STATES in difference for difference in verify(folder).differences)


def test_a_state_that_is_not_its_prompts_is_found(options, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    made = run("APA", "board", config_dict={**options, "epochs": 1, "keep_states": True}, run_dir=folder)
    tensors = load_file(folder / STATES)
    name = next(key for key in tensors if key.endswith(".states"))
    tensors[name][0, 0] += 1
    save_file(tensors, folder / STATES)
    made.trainer.store.seal({})  # forged consistently: the digests hold
    assert any("1 of its activations are not those" in difference for difference in verify(folder).differences)


def test_switched_off_later_the_next_request_deletes_them(options, tmp_path):
    folder = tmp_path / "run"
    run("APA", "board", config_dict={**options, "epochs": 1, "keep_states": True}, run_dir=folder)
    unlearn(folder, users=["u3"], config_dict={"keep_states": False})
    assert not (folder / STATES).exists()
    assert audit(folder).holds
    evaluate_run(folder)
