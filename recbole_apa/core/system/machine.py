"""The kind of machine that numbers come from: the same operations round differently on another kind."""

import os
import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_apa.core.system.deterministic import OURS, WORKSPACE

if TYPE_CHECKING:
    import torch

_VARIABLES = ("ATEN_CPU_CAPABILITY", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")
"""Variables that make the libraries use other instructions than those the processor offers."""
_EXTENSIONS = ("_is_avx512_bf16_supported", "_is_vnni_supported", "_is_amx_tile_supported")


@dataclass(frozen=True)
class MachineKind:
    """What determines how numbers are rounded, and the processor's name."""

    instructions: str
    """The vector instructions that torch uses, e.g. ``AVX512 bf16 vnni``, variables that change the choice, and the
    precision of float32 products if reduced (TF32 on a GPU)."""
    vendor: str
    """The processor's vendor: MKL chooses kernels by it."""
    torch: str
    """Torch's version, with the build suffix."""
    libraries: str
    """The linear algebra libraries that torch was built with, and their versions."""
    device: str
    """``cpu``, or the GPU's name and its CUDA or ROCm version, and cuBLAS's workspace unless it is the default."""
    processor: str
    """The model name, for information: two models with the same instructions usually round alike."""

    def rounds_like(self, other: "MachineKind") -> bool:
        """Whether the same operations should give the same bits: all fields but the processor's name are equal."""
        return self.differences(other) == []

    def differences(self, other: "MachineKind") -> list[str]:
        """Names of the differing fields that affect rounding."""
        names = [f.name for f in fields(self) if f.name != "processor"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    def text(self) -> str:
        """The machine kind in words."""
        return (
            f"{self.processor} ({self.vendor}, {self.instructions}), torch {self.torch} ({self.libraries}), "
            f"device {self.device}"
        )

    def plain(self) -> dict[str, str]:
        """The fields as JSON stores them."""
        return asdict(self)


def machine_kind(device: "torch.device | str") -> MachineKind:
    """The kind of this machine when computing on ``device``."""
    import torch

    return MachineKind(
        instructions=_instructions(),
        vendor=_of_processor("vendor_id") or platform.machine(),
        torch=str(torch.__version__),
        libraries=_libraries(),
        device=_device(torch.device(device)),
        processor=_of_processor("model name") or platform.processor() or platform.machine(),
    )


def kind_from(value: object) -> MachineKind | None:
    """The kind recorded in a run; None if there is none, or it is malformed."""
    names = {f.name for f in fields(MachineKind)}
    if not isinstance(value, Mapping) or set(value) != names or not all(isinstance(v, str) for v in value.values()):
        return None
    return MachineKind(**value)


def several(kinds: Iterable[MachineKind]) -> list[MachineKind]:
    """The distinct kinds, sorted by their text."""
    return sorted(set(kinds), key=MachineKind.text)


def _instructions() -> str:
    import torch

    found = [torch.backends.cpu.get_cpu_capability()]
    # AMX and bf16 units round differently, yet torch reports AVX512 for them too
    for name in _EXTENSIONS:
        has: Any = getattr(torch.cpu, name, None)
        if has is not None and has():
            found.append(name.removeprefix("_is_").removesuffix("_supported"))
    found += [f"{name}={os.environ[name]}" for name in _VARIABLES if os.environ.get(name)]
    if torch.get_float32_matmul_precision() != "highest":
        found.append(f"float32_matmul={torch.get_float32_matmul_precision()}")
    return " ".join(found)


def _libraries() -> str:
    import torch

    words = ("Intel(R) oneAPI Math Kernel Library", "Intel(R) MKL-DNN", "BLAS_INFO")
    shown = torch.__config__.show()
    lines = [line.strip(" -") for line in shown.splitlines() if line.strip(" -").startswith(words[:2])]
    blas = [part.strip() for part in shown.replace("\n", ",").split(",") if part.strip().startswith(words[2])]
    # only the name and version from each library's line, not the build details
    return "; ".join([re.split(r"-Product | \(Git", line)[0] for line in lines] + blas) or "not known"


def _device(device: "torch.device") -> str:
    import torch

    if device.type == "cuda" and torch.cuda.is_available():
        runtime = torch.version.hip or torch.version.cuda
        name = f"{torch.cuda.get_device_name(device)}, {'ROCm' if torch.version.hip else 'CUDA'} {runtime}"
        workspace = os.environ.get(WORKSPACE, OURS)
        return name if workspace == OURS else f"{name}, {WORKSPACE}={workspace}"
    return device.type


def _of_processor(field: str) -> str:
    """A field of the first processor in ``/proc/cpuinfo``; empty if there is none."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return " ".join(value.split())
    return ""
