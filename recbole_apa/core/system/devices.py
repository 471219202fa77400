"""Check whether a named device exists."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recbole_apa.core.errors import SettingsError

if TYPE_CHECKING:
    import torch

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The environment variable that decides which GPUs a process sees."""


def here(options: Mapping[str, object]) -> dict[str, Any]:
    """A run's options as they apply to this process, whose environment has the first say on which GPUs it sees."""
    kept = dict(options)
    if kept.get("gpu_id") not in (None, "") and VISIBLE in os.environ:
        del kept["gpu_id"]
    return kept


def check_device(wanted: "str | torch.device", visible: str | None, by_gpu_id: bool) -> "torch.device":
    """The device with that name.

    Args:
        wanted: a name, or a device.
        visible: the value of ``CUDA_VISIBLE_DEVICES``: the GPUs that this process sees; None means all.
        by_gpu_id: whether RecBole's option ``gpu_id`` set it.

    Raises:
        SettingsError: not the name of a device, or there is no such device.
    """
    import torch

    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError):
        raise SettingsError(f"device: found {wanted!r}, expected e.g. cpu, cuda or cuda:1") from None
    missing = _what_is_missing(device, visible, by_gpu_id)
    if missing:
        raise SettingsError(f"device: found {str(wanted)!r}, but {missing}; expected e.g. cpu, cuda or cuda:1")
    return device


def _what_is_missing(device: "torch.device", visible: str | None, by_gpu_id: bool) -> str:
    import torch

    if device.type == "cpu":
        return ""
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return "torch finds no CUDA device here"
        n = torch.cuda.device_count()
        if (device.index or 0) >= n:
            chosen = f"gpu_id: {visible!r} (--gpu_id=0,1 shows two)" if by_gpu_id else f"{VISIBLE}={visible}"
            return f"this process sees {n} of them" + (f", by {chosen}" if visible is not None else "")
        return ""
    try:
        if device.type == "meta":
            raise NotImplementedError
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return f"torch finds no {device.type} device here"
    return ""
