"""A backbone that is spread over memory and disk, and activations that are computed again: the same bits."""

import subprocess
import sys

import pytest
import torch

from recbole_apa import run, unlearn, verify
from recbole_apa.backbone.load import load_backbone, weights_digest
from recbole_apa.backbone.placement import is_offloaded
from recbole_apa.core.errors import BackboneError, SettingsError
from recbole_apa.core.execution import PlacementSettings
from tests.helpers.engines import CPU, settings
from tests.helpers.runs import state

LITTLE = {"device_map": "auto", "max_memory": {"cpu": 90_000}}
"""Room for the embedding table and a layer of the tiny backbone."""


def test_most_layers_lie_on_the_disk_and_the_digest_is_the_same(backbone_folder):
    plain = load_backbone(settings(backbone_folder), CPU)
    spread = load_backbone(settings(backbone_folder), CPU, PlacementSettings(**LITTLE))
    assert is_offloaded(spread.model) and not is_offloaded(plain.model)
    assert set(spread.model.hf_device_map.values()) == {"cpu", "disk"}
    assert {p.device.type for p in spread.model.model.layers[3].parameters()} == {"meta"}
    assert spread.digest == plain.digest
    with torch.no_grad():
        next(plain.model.parameters())[0, 0] += 1
    assert weights_digest(plain.model) != spread.digest


@pytest.mark.slow
@pytest.mark.parametrize(
    "placed",
    [
        {"gradient_checkpointing": True},
        LITTLE,
        {**LITTLE, "gradient_checkpointing": True},
    ],
    ids=["checkpointed", "offloaded", "both"],
)
@pytest.mark.parametrize("trunk_layers", [0, 2])
def test_a_run_has_the_same_bytes(placed, trunk_layers, options, work_folder, tmp_path):
    given = {**options, "trunk_layers": trunk_layers, "embedding": "final", "answer_loss": "full"}
    run("APA", "board", config_dict=given, run_dir=tmp_path / "plain")
    run("APA", "board", config_dict={**given, **placed}, run_dir=tmp_path / "placed")
    unlearn(tmp_path / "plain", users=["u3"])
    unlearn(tmp_path / "placed", users=["u3"])
    assert state(tmp_path / "plain") == state(tmp_path / "placed")
    assert verify(tmp_path / "placed", {"gradient_checkpointing": False, "device_map": None}).holds


@pytest.mark.slow
def test_activations_are_computed_again_in_the_backward_pass(options, work_folder, tmp_path, monkeypatch):
    from transformers.models.llama.modeling_llama import LlamaMLP

    def passes(name, **placed):
        n, original = 0, LlamaMLP.forward

        def counted(self, x):
            nonlocal n
            n += torch.is_grad_enabled()
            return original(self, x)

        with monkeypatch.context() as patch:
            patch.setattr(LlamaMLP, "forward", counted)
            run("APA", "board", config_dict={**options, **placed}, run_dir=tmp_path / name)
        return n

    assert passes("checkpointed", gradient_checkpointing=True) == 2 * passes("plain") > 0


def test_values_that_mean_nothing_are_refused(options, work_folder, tmp_path):
    with pytest.raises(SettingsError, match="max_memory"):
        run("APA", "board", config_dict={**options, "max_memory": "2GiB"}, run_dir=tmp_path / "run")
    with pytest.raises(BackboneError, match="cannot be loaded"):
        run("APA", "board", config_dict={**options, "device_map": "everywhere"}, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


CHILD = """
import sys, threading
from recbole_apa import run

def anonymous():
    return max(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("RssAnon")) // 1024

ended, most, begin = threading.Event(), 0, 0
def watch():
    global most
    while not ended.wait(0.01):
        most = max(most, anonymous())

import recbole_apa.model.trainer, transformers.models.llama.modeling_llama
begin = anonymous()
threading.Thread(target=watch, daemon=True).start()
run("APA", "board", config_dict=OPTIONS, run_dir=sys.argv[1])
ended.set()
print("most MiB:", most - begin)
"""


@pytest.mark.slow
def test_a_model_is_trained_in_less_than_half_the_memory_of_its_weights(backbone_folder, options, tmp_path):
    """1.1 GB of weights; what the process holds by itself, without files that the system may drop at will."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path / "large"
    AutoTokenizer.from_pretrained(backbone_folder).save_pretrained(folder)
    shape = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 16, "num_attention_heads": 16}
    LlamaForCausalLM(LlamaConfig(vocab_size=320, max_position_embeddings=512, **shape)).bfloat16().save_pretrained(
        folder
    )
    weights = 2 * sum(f.stat().st_size for f in folder.glob("*.safetensors")) / 2**20  # in float32
    small = {"train_samples": 6, "valid_samples": 2, "test_samples": 2, "n_shards": 2, "epochs": 1, "variants": "none"}

    def most(name, **placed):
        given = {**options, **small, "backbone": str(folder), **placed}
        command = [sys.executable, "-c", CHILD.replace("OPTIONS", repr(given)), str(tmp_path / name)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=900, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return int(done.stdout.rsplit("most MiB:", 1)[1])

    plain = most("plain")
    spread = most(
        "placed",
        device_map="auto",
        max_memory={"cpu": "200MiB"},
        offload_folder=str(tmp_path / "disk"),
        gradient_checkpointing=True,
    )
    print(f"weights {weights:.0f} MiB; plain {plain} MiB, spread {spread} MiB")
    assert plain > weights and spread < weights / 2
    assert state(tmp_path / "plain") == state(tmp_path / "placed")
