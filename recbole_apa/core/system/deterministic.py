"""Kernels that give the same bits each time: what training again from scratch, on the same GPU, has to rest on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import Any

import torch

from recbole_apa.core.errors import TrainingError

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""The environment variable that cuBLAS reads when it starts; torch's deterministic mode asks for it."""
OURS = ":4096:8"
"""What it is set to when the package is imported, where it is not set."""

_NO_SUCH_KERNEL = "does not have a deterministic implementation"


@contextmanager
def repeatable(device: torch.device, wanted: bool = True) -> Iterator[None]:
    """On CUDA, torch's deterministic algorithms inside; those that were on before stay. Attention's backward pass adds
    up in no fixed order without. Elsewhere nothing is changed: a CPU's kernels are so by themselves.

    Where cuBLAS was started otherwise by somebody else's program, a warning says so and nothing is changed.

    Args:
        wanted: RecBole's option ``reproducibility``.

    Raises:
        TrainingError: the model has an operation of which torch has no such kernel.
    """
    if device.type != "cuda" or not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    how: Any = torch.utils.deterministic
    filled = how.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    how.fill_uninitialized_memory = False  # memory that is about to be written need not be filled first
    try:
        if not _multiplies(device):
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            getLogger().warning(
                f"found {WORKSPACE}={os.environ.get(WORKSPACE)} when cuBLAS was started, expected {OURS}: "
                "training again may give other bits on this GPU; import recbole_apa before the GPU is used, or set "
                f"{WORKSPACE}={OURS} in the environment"
            )
        yield
    except RuntimeError as error:
        if _NO_SUCH_KERNEL not in str(error):
            raise
        raise TrainingError(
            f"reproducibility: True, and torch says: {str(error).splitlines()[0][:200]}; give --reproducibility=False, "
            "with which training again may give other bits on this GPU"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        how.fill_uninitialized_memory = filled


def _multiplies(device: torch.device) -> bool:
    """Whether a product runs under torch's deterministic mode."""
    one = torch.ones(1, 1, device=device)
    try:
        one @ one
    except RuntimeError as error:
        if WORKSPACE not in str(error):
            raise
        return False
    return True
