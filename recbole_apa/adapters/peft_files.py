"""Adapters on disk as plain PEFT folders: ``adapter_config.json`` and ``adapter_model.safetensors``."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from recbole_apa.adapters.bank import Factors
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.tensors import Expected, check_values, parse_tensors
from recbole_apa.core.settings import AdapterSettings

ADAPTER = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_ENDINGS: dict[int, tuple[str, ...]] = {2: (".lora_A.weight", ".lora_B.weight"), 1: (".ia3_l",)}
"""By how many tensors an adapter has in a layer."""


@dataclass(frozen=True)
class PeftDescription:
    """What ``adapter_config.json`` says besides the factors' shapes."""

    backbone: str
    adapters: AdapterSettings
    layers: Sequence[int] | None
    """Layer numbers that carry adapters; None means all."""


def write_adapter(folder: Path, factors: Factors, about: PeftDescription) -> None:
    """Write a folder that ``PeftModel.from_pretrained`` loads."""
    s = about.adapters
    config = {
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": about.backbone,
        "fan_in_fan_out": False,
        "inference_mode": True,
        **(_ia3(factors, s) if s.adapter_type == "ia3" else _lora(s, about.layers)),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tensors = {}
    for name, parts in factors.items():
        shaped = parts if len(parts) > 1 else (parts[0][None] if s.is_feedforward(name) else parts[0][:, None],)
        for ending, part in zip(_ENDINGS[len(parts)], shaped, strict=True):
            tensors[f"{_PREFIX}{name}{ending}"] = part.contiguous()
    save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})


def _lora(s: AdapterSettings, layers: Sequence[int] | None) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "r": s.lora_rank,
        "lora_alpha": s.lora_alpha,
        "lora_dropout": s.lora_dropout,
        "target_modules": list(s.target_modules),
        "layers_to_transform": list(layers) if layers is not None else None,
        "bias": "none",
        "init_lora_weights": True,
        # only where it says something: files of runs from before it have to stay what they are
        **({"use_rslora": True} if s.use_rslora else {}),
    }


def _ia3(factors: Factors, s: AdapterSettings) -> dict[str, Any]:
    """PEFT's has no layers_to_transform: modules are named in full."""
    names = sorted(factors)
    return {
        "peft_type": "IA3",
        "target_modules": names,
        "feedforward_modules": [n for n in names if s.is_feedforward(n)],
        "init_ia3_weights": True,
    }


def read_adapter(folder: Path) -> Factors:
    """The factors of a PEFT folder.

    Raises:
        RunError: no such file, or a tensor without its partner.
    """
    path = folder / ADAPTER
    if not path.is_file():
        raise RunError(f"no adapter at {folder}: expected {ADAPTER} in it")
    return parse_adapter(read_plain(path), path)


def parse_adapter(data: bytes, path: Path) -> Factors:
    """As :func:`read_adapter`, of bytes that were read already.

    Args:
        path: for messages.

    Raises:
        RunError: damaged, a tensor without its partner, or factors that are no numbers or do not fit each other.
    """
    tensors = parse_tensors(data, path)
    endings = _ENDINGS[1 if any(key.endswith(_ENDINGS[1]) for key in tensors) else 2]
    names = sorted({re.sub(r"\.(lora_[AB]\.weight|ia3_l)$", "", key.removeprefix(_PREFIX)) for key in tensors})
    for key, tensor in tensors.items():
        check_values(tensor, f"{path}: {key[:120]!r}", Expected(("rows", "columns")))
    try:
        found = {n: tuple(tensors[f"{_PREFIX}{n}{ending}"] for ending in endings) for n in names}
    except KeyError as error:
        raise RunError(f"{path} lacks {error}: expected lora_A and lora_B (or ia3_l) of every layer") from None
    for name, parts in found.items():
        # (r, d_in) and (d_out, r)
        if len(parts) == 2 and (parts[0].shape[0] != parts[1].shape[1] or not parts[0].shape[0]):
            raise RunError(
                f"{path}: the factors of {name[:120]} do not fit each other, {tuple(parts[0].shape)} and "
                f"{tuple(parts[1].shape)}; restore the run folder from a copy"
            )
    if not found:
        raise RunError(f"{path} holds no tensor; restore the run folder from a copy")
    return {n: parts if len(parts) > 1 else (parts[0].flatten(),) for n, parts in found.items()}
