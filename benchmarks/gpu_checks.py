"""What has to hold on a device before its figures mean anything. Plain functions, as a machine may have no pytest.

Each takes the :class:`Place` where it computes and raises AssertionError with what it found. They are called by
``benchmarks.gpu`` and tests/repository/test_gpu.py: on the CPU in any suite, on CUDA under the marker ``gpu``.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.board import board_options, write_board
from benchmarks.no_time import NO_TIME
from benchmarks.random_llama import plain_tokenizer, write_random_llama
from benchmarks.random_state import fill_adapters
from recbole_apa import APAConfig, run, unlearn, verify
from recbole_apa.backbone.activation_cache import ActivationCache
from recbole_apa.backbone.candidate_scoring import ListScorer
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.load import load_backbone
from recbole_apa.data.prompts import PromptInput
from recbole_apa.data.recbole_settings import read_settings

NEAR = {"float32": 1e-4, "bfloat16": 0.03}
"""Largest difference of a score between two devices, or between two ways on one, by the type of the weights."""
HISTORIES = (
    (("Even Film 2 (1982)", 1), ("Odd Film 7 (1987)", 0), ("Even Film 4 (1984)", 1)),
    (("A much longer title than all of the others (2001)", 0),),
)
CANDIDATES = [PromptInput(history, f"Film {i} ({1980 + i})") for i in range(6) for history in HISTORIES]
"""Two users' candidates, mixed."""


class NotRun(Exception):
    """A check that cannot be made here; its text says why."""


@dataclass(frozen=True)
class Place:
    """Where a check computes and writes."""

    device: torch.device
    folder: Path
    """For data, weights, runs and logs."""
    shape: str = "small"
    """Of the random Llama."""

    def options(self, **changes: Any) -> dict[str, Any]:
        """Options of a run on the checkerboard, every prompt by itself."""
        data, backbone = self.folder / "data", self.folder / "backbone"
        if not data.exists():
            data.mkdir(parents=True)
            write_board(data / "board", timestamps=True)
            write_random_llama(backbone, self.shape, "cpu", plain_tokenizer())
        fixed = {
            "device": str(self.device),
            "forward_batch_size": 1,
            "variants": "chosen",
            "log_dir": str(self.folder),
            "key_file": str(self.folder / "keys.json"),
        }
        return {**board_options(data, backbone), **fixed, **changes}

    def engine(self, device: torch.device | None = None, k: int = 0, **changes: Any) -> ScoringEngine:
        """Model and K random adapters that differ in their answers, on this device or another."""
        s = read_settings(APAConfig("APA", "board", None, self.options(**changes)))
        engine = ScoringEngine(load_backbone(s.backbone, device or self.device), s.backbone, s.prompts, s.adapters, 1e9)
        if k:
            fill_adapters(engine.bank, k, 0.5)
        return engine

    def run_folder(self, name: str) -> Path:
        """A new run folder."""
        return self.folder / "runs" / f"{name}-{time.monotonic_ns()}"


def check_training(place: Place) -> str:
    """Every shard's loss falls, and its adapter is finite throughout and unlike any other."""
    made = run("APA", "board", config_dict=place.options(epochs=3), run_dir=place.run_folder("training"))
    bank = made.model.engine.bank
    losses = [shard["epoch_losses"] for shard in made.trainer.record.shards]
    assert all(a[-1] < a[0] for a in losses), f"found losses by epoch {losses}, expected them to fall"
    assert {p.device.type for p in bank.parameters()} == {place.device.type}, "the adapters are on another device"
    assert all(bool(p.isfinite().all()) for p in bank.parameters()), "an adapter contains NaN or infinite values"
    b = bank.parameters()[1]
    assert not torch.equal(b[0], b[1]), "two shards have the same adapter"
    return f"losses {losses[0][0]:.3f} to {losses[0][-1]:.3f}"


def check_unlearning(place: Place, **changes: Any) -> str:
    """After forgetting a user, the state is bit for bit what training from scratch gives here."""
    differences = _differences(place, **changes)
    assert not differences, f"not the bits of training from scratch: {'; '.join(differences)[:500]}"
    return "bit for bit what training from scratch gives"


def note_unpromised(place: Place) -> str:
    """Whether the same holds where it is not promised: batches of prompts, shards fused, reproducibility off."""
    asked: dict[str, dict[str, Any]] = {
        "32 prompts a pass": {"forward_batch_size": 32},
        "two shards fused": {"fused_shards": 2},
        "reproducibility off": {"reproducibility": False, "dtype": "bfloat16"},
    }
    found = {name: _differences(place, **changes) for name, changes in asked.items()}
    return "; ".join(f"{name}: {'other bits' if there else 'the same bits'}" for name, there in found.items())


def _differences(place: Place, **changes: Any) -> list[str]:
    folder = place.run_folder("unlearning")
    run("APA", "board", config_dict=place.options(**changes), run_dir=folder)
    opened = {"key_file": str(place.folder / "keys.json"), "device": str(place.device), "show_progress": False}
    unlearn(folder, users=["u3"], config_dict=opened)
    return verify(folder, opened).differences


def check_aggregation(place: Place, dtype: str = "float32") -> str:
    """Both ways of merging, and each adapter alone, give the scores of a CPU in float32; and cached activations give
    those of new ones."""
    here, cpu = place.engine(k=3, dtype=dtype), place.engine(torch.device("cpu"), 3, dtype="float32")
    weights = torch.softmax(torch.randn(len(CANDIDATES), 3, generator=torch.Generator().manual_seed(0)), 1)
    prompts = here.encode(CANDIDATES)
    worst = 0.0
    for mode in ("decomposition", "non_decomposition"):
        found, expected = (e.scores(prompts, weights, mode) for e in (here, cpu))  # type: ignore[arg-type]
        assert found.device.type == "cpu" and bool((expected - expected[0]).abs().max() > 1e-3), "scores are all alike"
        worst = max(worst, _gap(found, expected))
    alone = here.adapter_scores(prompts)
    worst = max(worst, _gap(alone, cpu.adapter_scores(prompts)))
    one_hot = torch.eye(3)[torch.zeros(len(prompts), dtype=torch.long)]
    worst = max(worst, _gap(here.scores(prompts, one_hot, "non_decomposition"), alone[:, 0]))
    assert worst <= NEAR[dtype], f"scores differ by {worst:.3g}, expected at most {NEAR[dtype]:g}"
    assert _gap(alone[:, 0], alone[:, 1]) > 1e-3, "two adapters give the same scores: nothing was compared"
    kept, here.cache = here.cache, ActivationCache(0)
    new = here.scores(prompts, weights, "decomposition")
    here.cache = kept
    assert torch.equal(new, here.scores(prompts, weights, "decomposition")), (
        "cached activations give other scores than new ones"
    )
    return f"largest difference of a score {worst:.2g}"


def check_shared_prefixes(place: Place, dtype: str = "float32") -> str:
    """Candidates that share the user's part of the prompt get the same scores as each alone."""
    engine = place.engine(k=3, dtype=dtype)
    prompts, lists = engine.encode(CANDIDATES), ListScorer(engine)
    read = lists.read(prompts)
    worst = _gap(lists.spread(read, [x.embeddings for x in read]), engine.embeddings(prompts), relative=True)
    for rows in (1, len(CANDIDATES) // len(HISTORIES)):
        weights = [torch.softmax(torch.randn(rows, 3, generator=torch.Generator().manual_seed(i)), 1) for i in (0, 1)]
        alone = engine.scores(prompts, lists.spread(read, weights), "decomposition")
        assert bool((alone - alone[0]).abs().max() > 1e-3), "scores are all alike"
        worst = max(worst, _gap(lists.scores(read, weights, "decomposition"), alone))
    assert worst <= NEAR[dtype], f"scores differ by {worst:.3g}, expected at most {NEAR[dtype]:g}"
    return f"largest difference {worst:.2g}"


def check_gradient_checkpointing(place: Place, dtype: str = "float32") -> str:
    """Recomputing activations in the backward pass gives the same adapters, bit for bit."""
    found = []
    for on in (False, True):
        options = place.options(gradient_checkpointing=on, trunk_layers=0, dtype=dtype, lora_dropout=0.1)
        made = run("APA", "board", config_dict=options, run_dir=place.run_folder("checkpointing"))
        found.append([p.detach().cpu() for p in made.model.engine.bank.parameters()])
    n = sum(not torch.equal(a, b) for a, b in zip(*found, strict=True))
    assert not n, f"{n} of {len(found[0])} factors differ, expected the same bits"
    return "the same bits"


def check_quantization(place: Place, kind: str) -> str:
    """Weights with fewer bits: scores are close to those of plain weights, and forgetting is exact.

    Raises:
        NotRun: bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise NotRun("not run: bitsandbytes is not installed")
    plain, small = (place.engine(k=2, quantization=q, dtype="bfloat16") for q in (None, kind))
    found = [e.adapter_scores(e.encode(CANDIDATES)) for e in (plain, small)]
    assert not torch.equal(*found), "nothing was quantised"
    assert _gap(*found) <= 0.1, f"scores differ by {_gap(*found):.3g}, expected at most 0.1"
    return f"scores within {_gap(*found):.2g}; {check_unlearning(place, quantization=kind)}"


def _gap(found: Tensor, expected: Tensor, relative: bool = False) -> float:
    gap = (found - expected).abs().max()
    return float(gap / expected.abs().max() if relative else gap)


CHECKS: dict[str, Callable[[Place], str]] = {
    "training": check_training,
    "aggregation": check_aggregation,
    "aggregation, bfloat16": partial(check_aggregation, dtype="bfloat16"),
    "shared prefixes": check_shared_prefixes,
    "shared prefixes, bfloat16": partial(check_shared_prefixes, dtype="bfloat16"),
    "unlearning": check_unlearning,
    "unlearning, bfloat16": partial(check_unlearning, dtype="bfloat16"),
    "unlearning, dropout, all layers": partial(check_unlearning, lora_dropout=0.1, trunk_layers=0, embedding="final"),
    "gradient checkpointing": check_gradient_checkpointing,
    "gradient checkpointing, bfloat16": partial(check_gradient_checkpointing, dtype="bfloat16"),
    "int8": partial(check_quantization, kind="int8"),
    "nf4": partial(check_quantization, kind="nf4"),
    "where no equal bits are promised": note_unpromised,
}


def run_checks(
    place: Place, deadline: float, save: Callable[[list[dict[str, Any]]], None] = lambda rows: None
) -> list[dict[str, Any]]:
    """All checks until the deadline (``time.perf_counter``): name, status, what it says, seconds.

    Args:
        save: called after each check with the rows so far.
    """
    rows: list[dict[str, Any]] = []
    for name, check in CHECKS.items():
        start = time.perf_counter()
        if start >= deadline:
            rows.append({"check": name, "status": NO_TIME, "says": "", "seconds": 0.0})
            continue
        try:
            status, says = "passed", check(place)
        except NotRun as reason:
            status, says = "not run", str(reason)
        except Exception as error:
            status, says = "failed", f"{type(error).__name__}: {str(error)[:600]}"
        rows.append({"check": name, "status": status, "says": says, "seconds": time.perf_counter() - start})
        print(rows[-1], flush=True)
        save(rows)
    return rows
