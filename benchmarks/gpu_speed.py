"""What a prediction, a training step and a request cost on a large random model: parts of ``benchmarks.gpu``.

Weights are drawn on the device and shared by all contenders, each of which has its own modules and adapters.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from peft import LoraConfig, get_peft_model

from benchmarks.inference import REFERENCE, Setting
from benchmarks.random_llama import random_backbone, sharing_weights
from benchmarks.random_state import fill_adapters
from benchmarks.roofline import Roof, roof_of
from benchmarks.timing import Contender, ratios, seconds_until
from benchmarks.unlearning import measure_cost
from recbole_apa import APAConfig
from recbole_apa.adapters.training import AdapterCourse
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.load import Backbone
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.settings import APASettings
from recbole_apa.core.system.deterministic import repeatable
from recbole_apa.data.recbole_settings import read_settings

FROZEN, COMPUTED, ALL_LAYERS = "frozen trunk, states at hand", "frozen trunk, states computed", "all layers"
EVERY = 12
"""Distance in tokens between a prompt's supervised answers."""


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    shape: str
    shards: tuple[int, ...]
    batches: tuple[int, ...]
    tokens: int
    """Of a prompt; 139 is ml-100k's mean."""
    repetitions: int
    train_batch: int
    request: dict[str, int]
    """Options of the run that forgets one interaction."""


FULL = Sizes(
    "7b",
    (4, 16, 64),
    (1, 32),
    139,
    5,
    8,
    {"n_shards": 4, "train_samples": 256, "valid_samples": 32, "test_samples": 8, "MAX_ITEM_LIST_LENGTH": 5},
)
SMALL = Sizes(
    "tiny",
    (2,),
    (1, 2),
    16,
    2,
    2,
    {"n_shards": 2, "train_samples": 16, "valid_samples": 4, "test_samples": 4, "MAX_ITEM_LIST_LENGTH": 2},
)


def settings_on(device: torch.device, **changes: Any) -> APASettings:
    """The defaults on this device, with adapters in the upper half of the layers."""
    options = {"device": str(device), "dtype": "bfloat16", "learning_rate": 1e-4, **changes}
    return read_settings(APAConfig("APA", "ml-100k", config_dict=options))


def engine_on(backbone: Backbone, settings: APASettings, k: int, cache_bytes: float = 0) -> ScoringEngine:
    """An engine with K random adapters and its own modules, which share the backbone's weights."""
    engine = ScoringEngine(
        sharing_weights(backbone), settings.backbone, settings.prompts, settings.adapters, cache_bytes
    )
    fill_adapters(engine.bank, k)
    return engine


def peft_model(backbone: Backbone, settings: APASettings, layers: list[int] | None, k: int) -> Any:
    """PEFT's model with K adapters in the same places, named "0", "1", ..."""
    s = settings.adapters
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=s.lora_rank,
        lora_alpha=s.lora_alpha,
        target_modules=list(s.target_modules),
        layers_to_transform=layers,
    )
    peft = get_peft_model(sharing_weights(backbone).model, config, adapter_name="0")
    for i in range(1, k):
        peft.add_adapter(str(i), config)
    return peft.eval()


def measure_predictions(
    device: torch.device, sizes: Sizes, deadline: float, save: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Ratios to one adapter, tokens per second and shares of the roofline, for each K and batch.

    Args:
        save: called after each of them with the record so far.
    """
    backbone: Any = random_backbone(sizes.shape, device)
    settings = settings_on(device, forward_batch_size=max(sizes.batches))
    roof = roof_of(device)
    layers = backbone.model.get_decoder().layers
    one, many = (engine_on(backbone, settings, 1) for _ in range(2))
    n_upper, n_all = (_n_weights(part) for part in (layers[one.decoder.n_trunk :], layers))
    peft = peft_model(backbone, settings, one.decoder.upper_layers(), max(sizes.shards))
    record: dict[str, Any] = {"tokens": sizes.tokens, "roof": roof.plain(), "n_weights": n_all, "rows": []}
    left = len(sizes.shards) * len(sizes.batches)
    for k in sizes.shards:
        fill_adapters(many.bank, k)
        for batch in sizes.batches:
            setting = Setting(one, many, peft, batch, sizes.tokens)
            share = (deadline - time.perf_counter()) / left
            seconds, missing = seconds_until(
                setting.contenders(), sizes.repetitions, str(device), time.perf_counter() + share
            )
            found = _beside_references(seconds)
            for name, values in found.items():
                n_weights = n_all if name.endswith("all") else n_upper
                values |= _throughput(values["seconds_per_sample"], roof, n_weights, batch, sizes.tokens)
            record["rows"].append({"k": k, "batch": batch, "contenders": found, "missing": missing})
            left -= 1
            save(record)
    return record


def _beside_references(seconds: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for part, reference in REFERENCE.items():
        group = {name: values for name, values in seconds.items() if name.endswith(part)}
        if reference in group:
            found |= ratios(group, reference)
            for name, values in group.items():
                found[name] |= {"seconds_low": min(values), "seconds_high": max(values), "repetitions": len(values)}
    return found


def _throughput(seconds: float, roof: Roof, n_weights: int, batch: int, tokens: int) -> dict[str, float]:
    """Prompt tokens served per second, and the share of the roofline that one pass over them would be."""
    least = roof.least_seconds(n_weights, batch * tokens)
    return {"tokens_per_second": tokens / seconds, "roofline_share": least / (seconds * batch)}


def _n_weights(layers: Any) -> int:
    return sum(p.numel() for name, p in layers.named_parameters() if "lora" not in name)


def training_prompts(n: int, n_tokens: int) -> list[TokenizedPrompt]:
    """Random tokens with an answer every ``EVERY`` tokens."""
    ids = torch.randint(1000, 20_000, (n, n_tokens), generator=torch.Generator().manual_seed(1)).tolist()
    positions = (*range(EVERY - 1, n_tokens - 1, EVERY), n_tokens - 1)
    labels = tuple(i % 2 for i in range(len(positions) - 1))
    return [TokenizedPrompt(tuple(row), positions, labels, 0) for row in ids]


def measure_step(device: torch.device, sizes: Sizes, deadline: float) -> dict[str, Any]:
    """A step with adapters in the upper half of the layers, compared with adapters in all of them."""
    backbone = random_backbone(sizes.shape, device)
    prompts = training_prompts(sizes.train_batch, sizes.tokens)
    labels = torch.tensor([i % 2 for i in range(len(prompts))])

    def stepper(trunk_layers: float, anew: bool) -> Contender:
        s = settings_on(device, trunk_layers=trunk_layers)
        engine = engine_on(backbone, s, 1, cache_bytes=1 << 30)
        engine.bank.train(True)
        course = AdapterCourse(engine.bank.parameters(), 1000, s.training, 0)

        def run() -> float:
            if anew:
                engine.keep_only([])
            with repeatable(device):
                return course.step_on(engine.training_losses(prompts, labels, [0] * len(prompts), s.training)[0])

        return Contender(run, len(prompts))

    steps = {ALL_LAYERS: stepper(0, False), FROZEN: stepper(0.5, False), COMPUTED: stepper(0.5, True)}
    seconds, missing = seconds_until(steps, 2 * sizes.repetitions, str(device), deadline)
    found = ratios(seconds, ALL_LAYERS)
    for name in found:
        found[name]["peak_bytes"] = _peak_of(steps[name], device)
    return {"batch": len(prompts), "tokens": sizes.tokens, "contenders": found, "missing": missing}


def _peak_of(contender: Contender, device: torch.device) -> int | None:
    """Peak bytes on the GPU during a call; None on other devices."""
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    contender.run()
    return torch.cuda.max_memory_allocated(device)


def measure_request(device: torch.device, sizes: Sizes) -> dict[str, Any]:
    """Forgetting one interaction, compared with training all shards again, both by the program's own code."""
    backbone = random_backbone(sizes.shape, device)
    options = {**sizes.request, "backbone": backbone.name, "device": str(device), "dtype": "bfloat16"}
    n_shards = options.pop("n_shards")
    with tempfile.TemporaryDirectory() as name:
        options |= {"log_dir": name, "key_file": str(Path(name) / "keys.json")}
        # weights of this size are not written to disk and read back
        with patch("recbole_apa.model.apa.load_backbone", lambda settings, *rest: sharing_weights(backbone)):
            rows = measure_cost(options, [n_shards], 2, ["warm"], Path(name), tallrec=False)
    return {**sizes.request, "rows": rows}
