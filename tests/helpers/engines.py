"""Engines on the tiny backbone, prompts for them, and settings."""

import torch

from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.load import load_backbone
from recbole_apa.core.settings import AdapterSettings, BackboneSettings, PromptSettings, TrainSettings
from recbole_apa.data.prompts import PromptInput

CPU = torch.device("cpu")
ADAPTERS = AdapterSettings(
    adapter_type="lora",
    lora_rank=2,
    lora_alpha=4.0,
    lora_dropout=0.0,
    use_rslora=False,
    target_modules=("q_proj", "v_proj"),
    feedforward_modules=(),
)
SAMPLES = [
    PromptInput((("Alien (1979)", 1), ("Crash (1996)", 0)), "Babe (1995)"),
    PromptInput((), "Dave (1993)"),
    PromptInput((("Heat (1995)", 0), ("A much longer title than all of the others (2001)", 1)), "Fargo (1996)"),
]


def settings(folder, **changes):
    values = {
        "backbone": str(folder),
        "dtype": "float32",
        "quantization": None,
        "attn_implementation": None,
        "trust_remote_code": False,
        "trunk_layers": 2,
        "embedding": "trunk",
        "embedding_pooling": "last",
        "shared_prefixes": True,
        "skip_unread": True,
        "forward_batch_size": None,
    }
    return BackboneSettings(**(values | changes))


def engine(folder, template="list", history_offset=False, **changes):
    s = settings(folder, **changes)
    prompts = PromptSettings(template, None, 300, history_offset)
    return ScoringEngine(load_backbone(s, CPU), s, prompts, ADAPTERS, 1e9)


def fill_adapters(e, k):
    e.bank.resize(k)
    for i in range(k):
        g = torch.Generator().manual_seed(i)
        start = e.bank.start(0)
        e.bank.load(i, {n: (a, torch.randn(b.shape, generator=g) * 0.3) for n, (a, b) in start.items()})


def train_settings(**changes):
    values = {"epochs": 1, "learning_rate": 0.1, "train_batch_size": 4, "weight_decay": 0.0, "lr_schedule": "linear"}
    values |= {
        "warmup_ratio": 0.0,
        "max_grad_norm": None,
        "loraplus_lr_ratio": 1.0,
        "fused_shards": 1,
        "shard_slices": 1,
        "answer_loss": "yes_no",
        "supervise": "target",
    }
    return TrainSettings(**(values | changes), stopping_patience=None, stopping_min_delta=0.0)


def loss_of(e, prompts, labels, s):
    return e.training_losses(prompts, labels, [0] * len(prompts), s)[0]
