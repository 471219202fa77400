"""Adapters on disk as plain PEFT folders: ``adapter_config.json`` and ``adapter_model.safetensors``."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import load_file, save_file

from recbole_apa.adapters.inject import Factors
from recbole_apa.errors import RunError

_PREFIX = "base_model.model."


@dataclass(frozen=True)
class PeftDescription:
    """What ``adapter_config.json`` says besides the factors' shapes."""

    backbone: str
    rank: int
    alpha: float
    dropout: float
    targets: Sequence[str]
    layers: Sequence[int] | None
    """Layer numbers that carry adapters; None means all."""
    use_rslora: bool = False


def write_adapter(folder: Path, factors: Factors, about: PeftDescription) -> None:
    """Write a folder that ``PeftModel.from_pretrained`` loads."""
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": about.backbone,
        "r": about.rank,
        "lora_alpha": about.alpha,
        "lora_dropout": about.dropout,
        "target_modules": list(about.targets),
        "layers_to_transform": list(about.layers) if about.layers is not None else None,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "inference_mode": True,
        # only where it says something: files of runs from before it have to stay what they are
        **({"use_rslora": True} if about.use_rslora else {}),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    tensors = {}
    for name, (a, b) in factors.items():
        tensors[f"{_PREFIX}{name}.lora_A.weight"] = a.contiguous()
        tensors[f"{_PREFIX}{name}.lora_B.weight"] = b.contiguous()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def read_adapter(folder: Path) -> Factors:
    """The factors of a PEFT folder.

    Raises:
        RunError: no such file, or a tensor without its partner.
    """
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        raise RunError(f"no adapter at {folder}: expected adapter_model.safetensors in it")
    tensors = load_file(path)
    names = sorted({key.removeprefix(_PREFIX).rsplit(".lora_", 1)[0] for key in tensors})
    try:
        return {n: (tensors[f"{_PREFIX}{n}.lora_A.weight"], tensors[f"{_PREFIX}{n}.lora_B.weight"]) for n in names}
    except KeyError as error:
        raise RunError(f"{path} lacks {error}: expected lora_A and lora_B of every layer") from None
