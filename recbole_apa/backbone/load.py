"""Load a backbone: by name (the packaged default), from a folder, or from the hub."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recbole_apa.backbone.default_model import PACKAGED, is_converted, packaged_model_folder
from recbole_apa.backbone.placement import placed_by, sorted_tensors
from recbole_apa.backbone.quantization import keep_differentiable, quantization_config
from recbole_apa.core.errors import BackboneError
from recbole_apa.core.execution import PlacementSettings
from recbole_apa.core.settings import BackboneSettings
from recbole_apa.core.system.surroundings import refuse_stripped


@dataclass(frozen=True)
class Backbone:
    """The frozen language model with its tokenizer."""

    name: str
    """The name given by the user."""
    source: str
    """The argument passed to ``from_pretrained``."""
    model: nn.Module
    tokenizer: Any
    digest: str
    """SHA-256 of the weights, so that an adapter is never used with another backbone."""


def load_backbone(
    settings: BackboneSettings, device: torch.device, placement: PlacementSettings | None = None
) -> Backbone:
    """
    Args:
        device: where the whole model goes, unless ``placement`` spreads it.

    Raises:
        BackboneError: the backbone is not found, cannot be loaded, or has no fast tokenizer.
        SettingsError: Python was started in a way that transformers cannot handle.
    """
    tokenizer = load_tokenizer(settings)
    from transformers import AutoModelForCausalLM

    name, source = settings.backbone, _source_of(settings.backbone)
    dtype = resolve_dtype(settings.dtype, device)
    placed = placed_by(placement or PlacementSettings())
    if settings.quantization:
        quantized = quantization_config(settings.quantization, dtype)
        placed = {"device_map": {"": device}, **placed, "quantization_config": quantized}
    with _loading(name):
        model = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            attn_implementation=settings.attn_implementation,
            trust_remote_code=settings.trust_remote_code,
            **placed,
        )
    model.requires_grad_(False)
    model.eval()
    if settings.quantization:
        keep_differentiable(model)
    digest = weights_digest(model)  # before it moves to a GPU, from which it would be copied back
    if not placed:
        model = model.to(device)
    return Backbone(name, source, model, tokenizer, digest)


def load_tokenizer(settings: BackboneSettings, only_here: bool = False) -> Any:
    """The backbone's tokenizer; no weights are read.

    Args:
        only_here: nothing is downloaded or converted.

    Raises:
        BackboneError: it is not found, cannot be loaded, or is not a fast one.
        SettingsError: Python was started in a way that transformers cannot handle.
    """
    refuse_stripped()
    from transformers import AutoTokenizer

    name = settings.backbone
    if only_here and name in PACKAGED and not is_converted(name):
        raise BackboneError(f"backbone {name} is not in the cache yet; expected it there, as nothing may be downloaded")
    options = {"trust_remote_code": settings.trust_remote_code, "local_files_only": only_here}
    with _loading(name):
        found = AutoTokenizer.from_pretrained(_source_of(name), **options)
    if not found.is_fast:
        raise BackboneError(f"backbone {name}: its tokenizer has no fast version, which is needed to find the answers")
    return found


def count_layers(settings: BackboneSettings) -> int | None:
    """The backbone's layers, as its configuration says; None where it does not. No weights are read.

    Raises:
        BackboneError: it is not found, or cannot be loaded.
        SettingsError: Python was started in a way that transformers cannot handle.
    """
    refuse_stripped()
    from transformers import AutoConfig

    with _loading(settings.backbone):
        config = AutoConfig.from_pretrained(
            _source_of(settings.backbone), trust_remote_code=settings.trust_remote_code
        ).get_text_config()
    n_layers: int | None = getattr(config, "num_hidden_layers", None)
    return n_layers


def _source_of(name: str) -> str:
    return str(packaged_model_folder(name)) if name in PACKAGED else name


@contextmanager
def _loading(name: str) -> Iterator[None]:
    """Without progress bars: a local folder takes a second. The global setting is put back.

    Raises:
        BackboneError: in place of what transformers raises.
    """
    from transformers.utils import logging as transformers_logging

    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, ImportError) as error:
        raise BackboneError(_not_loadable(name, error)) from error
    finally:
        if bars:
            transformers_logging.enable_progress_bar()


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 if the hardware supports it, else float32."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    fast = _gpu_has_bf16(device) if device.type == "cuda" else _cpu_has_bf16()
    return torch.bfloat16 if fast else torch.float32


def weights_digest(model: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and values of all parameters, in order of name."""
    h = hashlib.sha256()
    for name, tensor in sorted_tensors(model):
        h.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}".encode())
        h.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().data)
    return h.hexdigest()


def _gpu_has_bf16(device: torch.device) -> bool:
    # torch.cuda.is_bf16_supported checks the current device, and also counts emulation
    return bool(torch.version.hip) or torch.cuda.get_device_properties(device).major >= 8


def _cpu_has_bf16() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _not_loadable(name: str, error: Exception) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    getLogger().debug("loading the backbone failed", exc_info=error)
    relative = "" if Path(name).is_absolute() else f" (relative paths start from {Path.cwd()})"
    return (
        f"backbone {name!r} cannot be loaded: {first[:300]}. Expected {', '.join(PACKAGED)}, a folder with a "
        f"transformers model{relative}, or a hub id: set --backbone=...; a hub id needs a network (or an "
        "earlier download), a gated one a login"
    )
