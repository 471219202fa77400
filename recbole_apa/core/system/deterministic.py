"""Deterministic kernels, without which retraining from scratch on the same GPU would not give the same bits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from typing import TYPE_CHECKING, Any

from recbole_apa.core.errors import TrainingError

if TYPE_CHECKING:
    import torch

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
"""The environment variable that cuBLAS reads when it starts; torch's deterministic mode asks for it."""
OURS = ":4096:8"
"""The value set when the package is imported, unless one is set already."""

_NO_SUCH_KERNEL = "does not have a deterministic implementation"


@contextmanager
def repeatable(device: "torch.device", wanted: bool = True) -> Iterator[None]:
    """Use torch's deterministic algorithms on CUDA, and restore the previous mode on exit. Without them, attention's
    backward pass sums in no fixed order. On other devices nothing is changed: CPU kernels are deterministic anyway.

    If cuBLAS was already initialized with another setting, a warning says so and nothing is changed.

    Args:
        wanted: RecBole's option ``reproducibility``.

    Raises:
        TrainingError: the model has an operation for which torch has no deterministic kernel.
    """
    if device.type != "cuda" or not wanted:
        yield
        return
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    how: Any = torch.utils.deterministic
    filled = how.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    how.fill_uninitialized_memory = False  # memory that is about to be overwritten need not be filled first
    try:
        if not _multiplies(device):
            torch.use_deterministic_algorithms(before[0], warn_only=before[1])
            getLogger().warning(
                f"found {WORKSPACE}={os.environ.get(WORKSPACE)} when cuBLAS was initialized, expected {OURS}: "
                "training again may give different bits on this GPU; import recbole_apa before using the GPU, or set "
                f"{WORKSPACE}={OURS} in the environment"
            )
        yield
    except RuntimeError as error:
        if _NO_SUCH_KERNEL not in str(error):
            raise
        raise TrainingError(
            f"reproducibility is True, but torch says: {str(error).splitlines()[0][:200]}; set "
            "--reproducibility=False, with which training again may give different bits on this GPU"
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        how.fill_uninitialized_memory = filled


def _multiplies(device: "torch.device") -> bool:
    """Whether a matrix product runs in torch's deterministic mode."""
    import torch

    one = torch.ones(1, 1, device=device)
    try:
        one @ one
    except RuntimeError as error:
        if WORKSPACE not in str(error):
            raise
        return False
    return True
