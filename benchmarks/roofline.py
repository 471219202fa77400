"""How fast a device could multiply at best: from its data sheet if its name is known, otherwise measured."""

import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

SHEETS = (
    ("H200 NVL", 835e12, 4.8e12),
    ("H200", 989e12, 4.8e12),
    ("H100 NVL", 835e12, 3.9e12),
    ("H100 PCIe", 756e12, 2.0e12),
    ("H100 80GB HBM3", 989e12, 3.35e12),
    ("A100-SXM4-80GB", 312e12, 2.039e12),
    ("A100 80GB PCIe", 312e12, 1.935e12),
    ("A100-SXM4-40GB", 312e12, 1.555e12),
    ("A100-PCIE-40GB", 312e12, 1.555e12),
)
"""Part of the name, bf16 operations per second without sparsity, bytes per second (NVIDIA's data sheets)."""
OTHERWISE = ("MIG", "GH200")
"""Parts of names that contain one of the above but are something else."""


@dataclass(frozen=True)
class Roof:
    """What no program on this device can exceed."""

    flops: float
    """bf16 operations per second."""
    bandwidth: float
    """Bytes per second from and to the device's memory."""
    source: str
    """``data sheet`` or ``measured``."""
    measured_flops: float
    """Of one large product, whatever the source."""
    measured_bandwidth: float
    """Of one large copy."""

    def least_seconds(self, n_parameters: int, n_tokens: int) -> float:
        """Of a pass of bf16 weights over tokens: two operations per weight and token, every weight read once."""
        return max(2 * n_parameters * n_tokens / self.flops, 2 * n_parameters / self.bandwidth)

    def plain(self) -> dict[str, Any]:
        """As a JSON value."""
        return asdict(self)


def sheet_of(name: str) -> tuple[float, float] | None:
    """Operations and bytes per second of a device with this name; None if it is not known."""
    if any(word in name for word in OTHERWISE):
        return None
    return next(((flops, bandwidth) for part, flops, bandwidth in SHEETS if part in name), None)


def roof_of(device: torch.device) -> Roof:
    """The roof of a device; measuring takes about a second on a GPU."""
    on_gpu = device.type == "cuda"
    n = 8192 if on_gpu else 512
    a = torch.randn(n, n, device=device, dtype=torch.bfloat16)
    flops = 2 * n**3 / _best(lambda: a @ a, device)
    block = torch.empty((1 << 30) if on_gpu else (1 << 24), dtype=torch.uint8, device=device)
    other = torch.empty_like(block)
    bandwidth = 2 * block.nbytes / _best(lambda: other.copy_(block), device)
    sheet = sheet_of(torch.cuda.get_device_name(device)) if on_gpu else None
    if sheet is None:
        return Roof(flops, bandwidth, "measured", flops, bandwidth)
    return Roof(*sheet, "data sheet", flops, bandwidth)


def _best(work: Any, device: torch.device, repetitions: int = 10) -> float:
    """Seconds of the fastest call."""
    seconds = []
    for _ in range(3 + repetitions):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[3:])
