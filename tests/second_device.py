"""Scoring and training with the model on another device than the CPU, without one: ``python -m tests.second_device``.

torch's fake tensors know their device and hold no numbers; an operation on tensors of two devices is an error. Prints
what came of each way. A process of its own, for torch forgets no device that was named once.
"""

from types import SimpleNamespace
from unittest.mock import patch

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils import backend_registration

from benchmarks.gpu_speed import settings_on, training_prompts
from benchmarks.random_llama import random_backbone
from recbole_apa.backbone.candidate_scoring import ListScorer
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt

OTHER = "other"
PROMPTS = training_prompts(4, 40)
LABELS = SimpleNamespace(tolist=lambda: [0, 1, 0, 1])
"""A tensor's numbers cannot be read back here."""
TRAINING = {
    "default": {},
    "vocabulary": {"answer_loss": "full", "supervise": "target"},
    "all layers": {"trunk_layers": 0},
    "ia3": {"adapter_type": "ia3", "target_modules": ["k_proj", "v_proj", "down_proj"]},
    "dropout": {"lora_dropout": 0.1},
}


def moved(model):
    """The model with its weights on the other device."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = nn.Parameter(weight.detach().to(OTHER), requires_grad=False)
        for name, weight in module._buffers.items():
            if weight is not None:
                module._buffers[name] = weight.to(OTHER)
    return model


def an_engine(k, **changes):
    """With K adapters there; the check of its parts reads numbers back, and is left out."""
    backbone = random_backbone("tiny", "cpu")
    moved(backbone.model)
    with patch("recbole_apa.backbone.engine.check_split", lambda *given: None):
        settings = settings_on(torch.device("cpu"), forward_batch_size=3, **changes)
        engine = ScoringEngine(backbone, settings.backbone, settings.prompts, settings.adapters, 1e9)
    engine.bank.resize(k)
    return engine, settings


def score(**changes):
    """All ways to a score, each on the CPU in the end."""
    engine, _ = an_engine(3, **changes)
    frozen = engine.freeze(PROMPTS)
    out = [engine.embeddings(PROMPTS), engine.adapter_scores(PROMPTS), engine.answer_logits(PROMPTS, adapter=False)]
    out += [engine.scores(PROMPTS, torch.rand(4, 3), mode) for mode in ("decomposition", "non_decomposition")]
    assert {f.activations.device.type for f in frozen} == {OTHER} and {f.embedding.device.type for f in frozen} == {
        "cpu"
    }
    lists, pooled = ListScorer(engine), [TokenizedPrompt(p.ids, p.positions, p.labels, 0, 10) for p in PROMPTS]
    read = lists.read(pooled)
    for alike in (True, False):
        with patch("torch.equal", lambda *given, alike=alike: alike):
            out.append(lists.scores(read, [torch.rand(1, 3) for _ in read], "decomposition"))
    assert {x.device.type for x in out} == {"cpu"}, [x.device for x in out]


def train(**changes):
    """The loss and its gradients."""
    engine, settings = an_engine(1, **changes)
    engine.bank.train(True)
    (loss,) = engine.training_losses(PROMPTS, LABELS, [0] * 4, settings.training)
    loss.backward()
    assert {p.grad.device.type for p in engine.bank.parameters()} == {OTHER}


def mixes():
    """That a tensor left on the CPU is found."""
    engine, _ = an_engine(1)
    hidden = torch.rand(4, engine.decoder.hidden_size).to(OTHER)
    engine.head.loss(hidden, torch.ones(4), "yes_no")


def tensor(data, *, device=None, of=torch.tensor, **how):
    """``torch.tensor`` without the numbers, which torch would go on computing with on a device that is not there."""
    made = of(data, **how)
    return torch.empty(made.shape, dtype=made.dtype, device=device or "cpu")


def main():
    backend_registration._setup_privateuseone_for_python_backend(OTHER)
    ways = {f"train, {name}": (train, changes) for name, changes in TRAINING.items()}
    ways |= {"score": (score, {}), "score, all layers": (score, {"trunk_layers": 0, "embedding": "final"})}
    for name, (way, changes) in {**ways, "mixes": (mixes, {})}.items():
        with FakeTensorMode(), patch("torch.tensor", tensor):
            try:
                way(**changes)
                print(f"{name}: done")
            except Exception as error:
                print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:200]}")


if __name__ == "__main__":
    main()
