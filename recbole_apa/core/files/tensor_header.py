"""The shapes in a safetensors file, read without torch."""

import json
from pathlib import Path

from recbole_apa.core.errors import RunError

_LENGTH = 8


def tensor_shapes(data: bytes, path: Path) -> dict[str, tuple[int, ...]]:
    """Tensor -> shape.

    Args:
        data: the file's bytes, or at least its header.

    Raises:
        RunError: not a header of a safetensors file.
    """
    try:
        size = int.from_bytes(data[:_LENGTH], "little")
        told = json.loads(data[_LENGTH : _LENGTH + size])
        found = {name: tuple(entry["shape"]) for name, entry in told.items() if name != "__metadata__"}
        if not all(type(n) is int and n >= 0 for shape in found.values() for n in shape):
            raise ValueError("a shape is not made of numbers")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError(f"{path} is no safetensors file ({error}); restore the run folder from a copy") from None
    return found
