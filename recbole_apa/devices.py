"""Whether a device that somebody names is there."""

from typing import Any

import torch

from recbole_apa.errors import SettingsError


def check_device(wanted: Any, gpu_id: str) -> torch.device:
    """The device of that name.

    Args:
        wanted: a name, or a device.
        gpu_id: RecBole's option: the GPUs that this process sees.

    Raises:
        SettingsError: no device's name, or none of that name is here.
    """
    try:
        device = torch.device(wanted)
    except (RuntimeError, TypeError):
        raise SettingsError(f"device: found {wanted!r}, expected e.g. cpu, cuda or cuda:1") from None
    missing = _what_is_missing(device, gpu_id)
    if missing:
        raise SettingsError(f"device: found {str(wanted)!r}, but {missing}; expected e.g. cpu, cuda or cuda:1")
    return device


def _what_is_missing(device: torch.device, gpu_id: str) -> str:
    if device.type == "cpu":
        return ""
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return "torch finds no CUDA device here"
        n = torch.cuda.device_count()
        if (device.index or 0) >= n:
            return f"this process sees {n} of them, by gpu_id: {gpu_id!r} (--gpu_id=0,1 shows two)"
        return ""
    try:
        if device.type == "meta":
            raise NotImplementedError
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        return f"torch finds no {device.type} device here"
    return ""
