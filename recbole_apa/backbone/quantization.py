"""Frozen weights in 8 or 4 bits (bitsandbytes, an optional extra)."""

import logging
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from recbole_apa.core.errors import BackboneError

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig


def quantization_config(kind: str, dtype: torch.dtype) -> "BitsAndBytesConfig":
    """The quantization settings for transformers.

    Args:
        kind: ``int8`` or ``nf4``.
        dtype: the type in which 4-bit weights are multiplied.

    Raises:
        BackboneError: bitsandbytes is not installed.
    """
    if find_spec("bitsandbytes") is None:
        raise BackboneError(
            f"quantization: {kind} needs bitsandbytes, which is not installed; pip install 'recbole-apa[quantize]', or "
            "unset quantization"
        )
    from transformers import BitsAndBytesConfig

    # it logs the same message for every layer in every pass
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def keep_differentiable(model: nn.Module) -> None:
    """Prevent silent loss of gradients: on CPUs with AVX512-BF16, bitsandbytes repacks 4-bit weights in the first pass
    without gradients, and later passes then have none."""
    module: Any
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
