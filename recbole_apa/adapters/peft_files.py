"""Adapters on disk as plain PEFT folders: ``adapter_config.json`` and ``adapter_model.safetensors``."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.file_names import ADAPTER
from recbole_apa.adapters.kind import ADAPTER_KINDS, AdapterKind
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.tensors import Expected, check_values, parse_tensors
from recbole_apa.core.settings import AdapterSettings

_PREFIX = "base_model.model."


@dataclass(frozen=True)
class PeftDescription:
    """The content of ``adapter_config.json`` besides the factors' shapes."""

    backbone: str
    adapters: AdapterSettings
    layers: Sequence[int] | None
    """Numbers of the layers that carry adapters; None means all."""


def write_adapter(folder: Path, factors: Factors, about: PeftDescription) -> None:
    """Write a folder that ``PeftModel.from_pretrained`` loads."""
    kind = ADAPTER_KINDS.find(about.adapters.adapter_type)()
    config = {
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": about.backbone,
        "fan_in_fan_out": False,
        "inference_mode": True,
        **kind.peft_config(about.adapters, list(factors), about.layers),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    tensors = {}
    for name, parts in factors.items():
        for ending, part in zip(kind.tensors, kind.to_peft(name, parts, about.adapters), strict=True):
            tensors[f"{_PREFIX}{name}{ending}"] = part.contiguous()
    save_file(tensors, folder / ADAPTER, metadata={"format": "pt"})


def read_adapter(folder: Path) -> Factors:
    """The factors of a PEFT folder.

    Raises:
        RunError: there is no such file, or a tensor lacks its partner.
    """
    path = folder / ADAPTER
    if not path.is_file():
        raise RunError(f"no adapter at {folder}: expected {ADAPTER} in it")
    return parse_adapter(read_plain(path), path)


def parse_adapter(data: bytes, path: Path) -> Factors:
    """As :func:`read_adapter`, for bytes that have already been read.

    Args:
        path: used in messages.

    Raises:
        RunError: the file is damaged, a tensor lacks its partner, or factors are not finite or do not match.
    """
    tensors = parse_tensors(data, path)
    if not tensors:
        raise RunError(f"{path} holds no tensor; restore the run folder from a copy")
    kind = _kind_of(tensors)
    for key, tensor in tensors.items():
        dims = next((dims for ending, dims in kind.tensors.items() if key.endswith(ending)), ("rows", "columns"))
        check_values(tensor, f"{path}: {key[:120]!r}", Expected(dims))
    out: Factors = {}
    for name in sorted({_layer_of(key, kind) for key in tensors}):
        try:
            out[name] = kind.from_peft(tuple(tensors[f"{_PREFIX}{name}{ending}"] for ending in kind.tensors))
        except KeyError as error:
            endings = " and ".join(ending.removeprefix(".") for ending in kind.tensors)
            raise RunError(f"{path} lacks {str(error)[:160]}: expected {endings} of every layer") from None
        except ValueError as error:
            raise RunError(f"{path}: the factors of {name[:120]} {error}; restore the run folder from a copy") from None
    return out


def _kind_of(names: Iterable[str]) -> AdapterKind:
    """The kind with these tensor names, by their endings; if there is none, the closest one."""
    found = list(names)

    def fits(kind: type[AdapterKind]) -> tuple[bool, int]:
        endings = tuple(kind.tensors)
        own = sum(name.endswith(endings) for name in found)
        return own == len(found) and all(any(name.endswith(e) for name in found) for e in endings), own

    return max(ADAPTER_KINDS.values(), key=fits)()  # the first one in a tie


def _layer_of(key: str, kind: AdapterKind) -> str:
    name = key.removeprefix(_PREFIX)
    ending = next((ending for ending in kind.tensors if name.endswith(ending)), "")
    return name.removesuffix(ending)
