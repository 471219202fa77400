"""Tensors that are no numbers, or of another type or shape, in a run whose digests its forger has brought in line."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from recbole_apa.core.files.whole import file_digest
from recbole_apa.runs.store import RunStore


def forgeries(run: Path, outcome: Callable[[Path, Mapping[str, Any]], tuple[str, str]]) -> Iterator[dict[str, Any]]:
    """Forge each file of tensors in each way, on a copy, and see what comes of it.

    Args:
        run: has served no request; nothing of it lies outside.
        outcome: audits a folder.
    """
    folder = run.parent.parent / "forged" / run.name
    for path in sorted(run.rglob("*.safetensors")):
        name = str(path.relative_to(run))
        whole = not any(t.is_floating_point() and t.numel() for t in load_file(path).values())
        for how, forge in _WAYS.items():
            if whole and how in _OF_FLOATS:
                continue  # forged_statistics.py changes the sums themselves
            shutil.rmtree(folder.parent, ignore_errors=True)
            shutil.copytree(run, folder)
            tensors = load_file(path)
            changed = {**tensors}
            forge(changed, _largest(tensors))
            if name == "states.safetensors" and how not in _NO_NUMBERS:
                continue  # keyed by prompts: rows may be missing, and are then computed
            save_file({n: t.contiguous() for n, t in changed.items()}, folder / name)
            reseal(folder, [name])
            start = time.monotonic()
            result, says = outcome(folder, {})
            kind = "/".join(p for p in name.split("/") if not p.isdigit()) + ", resealed"
            yield {
                "case": f"{name} | {how} | resealed",
                "kind": kind,
                "how": how,
                "outcome": result,
                "says": says,
                "seconds": round(time.monotonic() - start, 3),
            }
    shutil.rmtree(folder.parent, ignore_errors=True)


def reseal(folder: Path, names: list[str]) -> None:
    """Make the manifest of a run without requests say that changed files are what they should be."""
    store = RunStore(folder)
    manifest = store.manifest()
    manifest["files"] |= {name: file_digest(folder / name) for name in names}
    store.write_manifest(manifest)


def _largest(tensors: Mapping[str, Tensor]) -> str:
    floats = [name for name, t in tensors.items() if t.is_floating_point() and t.numel()]
    return max(floats or tensors, key=lambda name: tensors[name].numel())


def _put(value: float) -> Callable[[dict[str, Tensor], str], None]:
    def do(tensors: dict[str, Tensor], name: str) -> None:
        flat = tensors[name].clone().flatten()
        flat[len(flat) // 2] = value
        tensors[name] = flat.reshape(tensors[name].shape)

    return do


def _made(change: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor], str], None]:
    def do(tensors: dict[str, Tensor], name: str) -> None:
        tensors[name] = change(tensors[name])

    return do


def _dropped(tensors: dict[str, Tensor], name: str) -> None:
    del tensors[name]


def _added(tensors: dict[str, Tensor], name: str) -> None:
    tensors["another"] = torch.ones(2, 2)


_NO_NUMBERS = ("NaN", "Inf")
_OF_FLOATS = (*_NO_NUMBERS, "whole numbers", "flattened", "a column less")
"""What cannot be done to a row of whole numbers, or is another way."""
_WAYS: dict[str, Callable[[dict[str, Tensor], str], None]] = {
    "NaN": _put(float("nan")),
    "Inf": _put(float("inf")),
    "whole numbers": _made(lambda t: t.round().to(torch.int64)),
    "half precision": _made(lambda t: t.to(torch.float16)),
    "double precision": _made(lambda t: t.double()),
    "flattened": _made(lambda t: t.flatten()),
    "a row less": _made(lambda t: t[:-1]),
    "a column less": _made(lambda t: t[..., :-1]),
    "empty": _made(lambda t: t[:0]),
    "a tensor less": _dropped,
    "a tensor more": _added,
}
