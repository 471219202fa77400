"""A shard's restart points as files, and back: the adapter, its optimiser's moments, and what is behind them."""

from pathlib import Path

import torch

from recbole_apa.adapters.moments import checked_moments, moment_tensors
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.tensors import Expected, check_tensors, parse_tensors
from recbole_apa.core.files.whole import write_bytes
from recbole_apa.next_item.run.adapter_files import adapter_tensors, checked_adapter
from recbole_apa.next_item.title_adapters import RestartPoint
from recbole_apa.runs.names import POINTS

_MOMENTS, _LINEAGE = "moments.", "lineage"


def point_name(shard: int, cut: int) -> str:
    """``points/003/02.safetensors``: before the slice with the number 2, which is the third."""
    return f"{POINTS}/{shard:03d}/{cut:02d}.safetensors"


def write_point(path: Path, point: RestartPoint) -> None:
    """
    Raises:
        RunError: the file cannot be written.
    """
    from safetensors.torch import save

    moments = {_MOMENTS + name: tensor for name, tensor in moment_tensors(point.by_layer).items()}
    lineage = torch.tensor(list(bytes.fromhex(point.adapter.lineage)), dtype=torch.uint8)
    write_bytes(path, save({**adapter_tensors(point.adapter), **moments, _LINEAGE: lineage}))


def read_point(path: Path) -> RestartPoint:
    """
    Raises:
        RunError: missing, damaged, or not what :func:`write_point` wrote.
    """
    tensors = parse_tensors(read_plain(path), path)
    lineage = {name: tensor for name, tensor in tensors.items() if name == _LINEAGE}
    check_tensors(lineage, {_LINEAGE: Expected(("digest",), ("uint8",))}, path)
    told = {name: tensor for name, tensor in tensors.items() if name.startswith(_MOMENTS)}
    factors = {name: tensor for name, tensor in tensors.items() if name not in {*lineage, *told}}
    adapter = checked_adapter(factors, bytes(lineage[_LINEAGE].tolist()).hex(), path)
    moments = checked_moments({n.removeprefix(_MOMENTS): tensor for n, tensor in told.items()}, path, adapter.pairs)
    return RestartPoint(adapter, tuple(moment for name in adapter.layers for moment in moments[name]))
