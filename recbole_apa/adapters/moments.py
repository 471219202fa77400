"""AdamW's moments of one adapter, kept between the slices of a shard."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from recbole_apa.adapters.bank import Factors
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.tensors import parse_tensors


class Moment(NamedTuple):
    """The state of one parameter; of one that never had a gradient, zeros."""

    step: Tensor
    """How many steps it took, (), float32."""
    mean: Tensor
    """Running mean of its gradients, in its shape, float32."""
    square: Tensor
    """Running mean of their squares."""


Moments = dict[str, tuple[Moment, ...]]
"""Layer name -> the moments of its tensors, parallel to :data:`~recbole_apa.adapters.bank.Factors`."""


def moments_of(optimizer: torch.optim.Optimizer, parameters: Sequence[nn.Parameter], factors: Factors) -> Moments:
    """Copies of an optimiser's moments, on the CPU.

    Args:
        parameters: layer by layer, in the order of ``factors``.
        factors: give names and shapes.
    """
    left, out = iter(parameters), {}
    for name, parts in factors.items():
        out[name] = tuple(_moment(optimizer.state.get(next(left), {}), part.shape) for part in parts)
    return out


def no_moments(factors: Mapping[str, Sequence[Tensor]]) -> Moments:
    """Those of an optimiser that has not taken a step."""
    return {name: tuple(_moment({}, part.shape) for part in parts) for name, parts in factors.items()}


def _moment(state: Mapping[str, Tensor], shape: torch.Size) -> Moment:
    if not state:
        return Moment(torch.zeros(()), torch.zeros(shape), torch.zeros(shape))
    kept = (state[name].detach().to("cpu", torch.float32).clone() for name in ("exp_avg", "exp_avg_sq"))
    return Moment(torch.as_tensor(state["step"], dtype=torch.float32).cpu().clone(), *(x.reshape(shape) for x in kept))


def restore_moments(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[nn.Parameter],
    moments: Mapping[str, Sequence[Moment]],
    layers: Sequence[str],
) -> None:
    """Let an optimiser that has not taken a step go on with kept moments.

    Args:
        parameters: layer by layer.
        layers: their names, in the order of ``parameters``.
    """
    kept = [moment for name in layers for moment in moments[name]]
    for p, (step, mean, square) in zip(parameters, kept, strict=True):
        if step:
            own = (x.to(p, copy=True).reshape(p.shape) for x in (mean, square))
            # torch keeps the count on the CPU
            optimizer.state[p] = {"step": step.clone(), **dict(zip(("exp_avg", "exp_avg_sq"), own, strict=True))}


def moment_tensors(moments: Mapping[str, Sequence[Moment]]) -> dict[str, Tensor]:
    """Under the names that a file has them."""
    return {
        f"{name}.{i}.{what}": value.contiguous()
        for name, parts in moments.items()
        for i, part in enumerate(parts)
        for what, value in part._asdict().items()
    }


def write_moments(path: Path, moments: Moments) -> None:
    """As safetensors."""
    save_file(moment_tensors(moments), path)


def parse_moments(data: bytes, path: Path, factors: Factors) -> Moments:
    """The moments of an adapter, from the bytes of their file.

    Args:
        path: used in messages.
        factors: the adapter's.

    Raises:
        RunError: damaged, of another adapter, not finite, or squares and counts below 0.
    """
    return checked_moments(parse_tensors(data, path), path, factors)


def checked_moments(tensors: Mapping[str, Tensor], path: Path, factors: Mapping[str, Sequence[Tensor]]) -> Moments:
    """As :func:`parse_moments`, of a file that has been read."""
    expected = {
        f"{name}.{i}.{what}": part.shape if what != "step" else torch.Size(())
        for name, parts in factors.items()
        for i, part in enumerate(parts)
        for what in Moment._fields
    }
    fits = {name: tensor.shape for name, tensor in tensors.items()} == expected
    if not fits or not all(_is_moment(name, tensor) for name, tensor in tensors.items()):
        raise RunError(
            f"{path} does not hold the moments of the adapter beside it (finite, of its layers and shapes); restore "
            "the run folder from a copy"
        )
    return {
        name: tuple(Moment(*(tensors[f"{name}.{i}.{what}"] for what in Moment._fields)) for i in range(len(parts)))
        for name, parts in factors.items()
    }


def _is_moment(name: str, tensor: Tensor) -> bool:
    """Whether these can be values of a moment: finite, and none below 0 apart from means."""
    if tensor.dtype != torch.float32 or not bool(tensor.isfinite().all()):
        return False
    return name.endswith(".mean") or bool((tensor >= 0).all())
