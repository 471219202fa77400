"""A shard's adapter as a file, and back; tensors have the names that PEFT gives them."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.tensors import Expected, check_tensors, parse_tensors
from recbole_apa.core.files.whole import write_bytes
from recbole_apa.next_item.title_adapters import TitleAdapter

ADAPTERS = "adapters"
"""Folder of a state's adapters."""
_PREFIX = "base_model.model."
_EXIT = "exit_map"
"""The draft of runs from before drafts had files of their own."""
_ENDINGS = (".lora_A.weight", ".lora_B.weight")


def adapter_name(shard: int) -> str:
    """``adapters/003.safetensors``."""
    return f"{ADAPTERS}/{shard:03d}.safetensors"


def write_adapter(path: Path, adapter: TitleAdapter) -> None:
    """
    Raises:
        RunError: the file cannot be written.
    """
    from safetensors.torch import save

    write_bytes(path, save(adapter_tensors(adapter)))


def adapter_tensors(adapter: TitleAdapter) -> dict[str, Tensor]:
    """Under the names that a file has them."""
    return {
        f"{_PREFIX}{name}{ending}": part.contiguous()
        for name, pair in adapter.pairs.items()
        for ending, part in zip(_ENDINGS, pair, strict=True)
    }


def read_adapter(path: Path, lineage: str) -> TitleAdapter:
    """
    Args:
        lineage: as the run notes it beside.

    Raises:
        RunError: missing, damaged, or not what :func:`write_adapter` wrote.
    """
    tensors = parse_tensors(read_plain(path), path)
    tensors.pop(_EXIT, None)
    return checked_adapter(tensors, lineage, path)


def checked_adapter(tensors: Mapping[str, Tensor], lineage: str, path: Path) -> TitleAdapter:
    """As :func:`read_adapter`, of a file that has been read."""
    names = sorted({_layer_of(name, path) for name in tensors})
    expected = {}
    for number, name in enumerate(names):
        expected[f"{_PREFIX}{name}{_ENDINGS[0]}"] = Expected(("rank", f"in {number}"))
        expected[f"{_PREFIX}{name}{_ENDINGS[1]}"] = Expected((f"out {number}", "rank"))
    check_tensors(tensors, expected, path)
    pairs: dict[str, tuple[Tensor, ...]] = {
        name: tuple(tensors[f"{_PREFIX}{name}{ending}"] for ending in _ENDINGS) for name in names
    }
    return TitleAdapter.of(pairs, lineage)


def exit_map_within(path: Path) -> Tensor | None:
    """The draft's map in an adapter's file, where older runs have it, (d, d + 1).

    Raises:
        RunError: as :func:`read_adapter`.
    """
    found = parse_tensors(read_plain(path), path).get(_EXIT)
    if found is not None:
        check_tensors({_EXIT: found}, {_EXIT: Expected(("hidden size", "hidden size and one"))}, path)
    return found


def _layer_of(name: str, path: Path) -> str:
    for ending in _ENDINGS:
        if name.startswith(_PREFIX) and name.endswith(ending):
            return name.removeprefix(_PREFIX).removesuffix(ending)
    raise RunError(f"{path} has a tensor {name[:80]!r}, expected LoRA's factors; restore the run folder from a copy")
