"""Tensors of a run folder, read from bytes and checked against what is expected of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.core.errors import RunError

if TYPE_CHECKING:
    from safetensors import safe_open
    from torch import Tensor

_RESTORE = "restore the run folder from a copy"


@dataclass(frozen=True)
class Expected:
    """What a tensor has to be."""

    dims: tuple[str, ...]
    """A name for each dimension; within a file, dimensions of the same name have the same size."""
    dtypes: tuple[str, ...] = ("float32",)
    """Names of torch's types."""
    greatest: float | None = None
    """Values are between 0 and this."""


def parse_tensors(data: bytes, path: Path) -> "dict[str, Tensor]":
    """The tensors of a safetensors file.

    Args:
        path: used in messages.

    Raises:
        RunError: not a valid safetensors file: a damaged header, too many or too few bytes, an unknown type.
    """
    from safetensors.torch import load

    try:
        return load(data)
    except Exception as error:  # the parser raises its own error classes, and others for odd headers
        raise _damaged(path, error) from None


@contextmanager
def open_tensors(path: Path) -> "Iterator[safe_open]":
    """Open a large file whose tensors are read one by one (``keys``, ``get_tensor``).

    Raises:
        RunError: the file is damaged.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            yield file
    except RunError:
        raise
    except Exception as error:
        if isinstance(error, OSError) or "Safetensor" in type(error).__name__:
            raise _damaged(path, error) from None
        raise


def check_tensors(tensors: "Mapping[str, Tensor]", expected: Mapping[str, Expected], path: Path) -> dict[str, int]:
    """Check tensors against what is expected of them.

    Returns:
        the size of each dimension, by its name.

    Raises:
        RunError: tensors are missing, unexpected, of the wrong type or shape, or hold NaN or infinite values.
    """
    if tensors.keys() != expected.keys():
        raise RunError(f"{path} holds {_names(tensors)}, expected {_names(expected)}; {_RESTORE}")
    sizes: dict[str, int] = {}
    for name, wanted in expected.items():
        check_values(tensors[name], f"{path}: {name}", wanted)
        for dim, size in zip(wanted.dims, tensors[name].shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise RunError(f"{path}: {name} has {size} {dim}, others have {sizes[dim]}; {_RESTORE}")
    return sizes


def check_values(tensor: "Tensor", what: str, expected: Expected) -> None:
    """As :func:`check_tensors`, for one tensor."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in expected.dtypes:
        raise RunError(f"{what} is {dtype}, expected {' or '.join(expected.dtypes)}; {_RESTORE}")
    if tensor.ndim != len(expected.dims):
        raise RunError(
            f"{what} has shape {tuple(tensor.shape)}, expected {len(expected.dims)} dimensions "
            f"({', '.join(expected.dims)}); {_RESTORE}"
        )
    if not bool(tensor.isfinite().all()):
        raise RunError(f"{what} holds NaN or infinite values; {_RESTORE}")
    high = expected.greatest
    if high is not None and tensor.numel() and not (tensor.min() >= 0 and tensor.max() <= high):
        raise RunError(f"{what} holds values outside 0 to {high:g}; {_RESTORE}")


def _names(tensors: Mapping[str, object]) -> str:
    shown = [repr(name[:60]) for name in sorted(tensors)]
    return ", ".join(shown[:6]) + (f" and {len(shown) - 6} more" if len(shown) > 6 else "") or "no tensor"


def _damaged(path: Path, error: Exception) -> RunError:
    return RunError(f"{path} is damaged ({str(error)[:120]}); {_RESTORE}")
