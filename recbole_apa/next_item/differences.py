"""In which numbers two states differ, bit for bit."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import torch


def differences(one: object, other: object, name: str = "") -> list[str]:
    """Names of the parts that differ, such as ``learnt.sums.2.gram``; NaN equals NaN.

    Args:
        one, other: dataclasses of tensors, numbers, texts, tuples and mappings.
    """
    if type(one) is not type(other):
        return [name]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape and _bytes(one) == _bytes(other)
        return [] if same else [name]
    if is_dataclass(one):
        return [
            d for f in fields(one) for d in differences(getattr(one, f.name), getattr(other, f.name), _in(name, f.name))
        ]
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        if one.keys() == other.keys() and any(isinstance(part, torch.Tensor) for part in one.values()):
            found = [d for key in one for d in differences(one[key], other[key], _in(name, key))]
            return found if len(found) < 10 else [name]
        return [] if _same(one, other) else [name]
    if isinstance(one, tuple) and isinstance(other, tuple):
        if len(one) != len(other):
            return [name]
        pairs = enumerate(zip(one, other, strict=True))
        found = [d for i, (a, b) in pairs for d in differences(a, b, _in(name, str(i)))]
        return found if len(found) < 10 else [name]
    return [] if one == other or (one != one and other != other) else [name]


def _same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return one.keys() == other.keys() and dict(one) == dict(other)


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


def _in(outer: str, inner: str) -> str:
    return f"{outer}.{inner}" if outer else inner
