"""RecBole's checkpoints and pretrained weights under torch 2.6 and later, which refuse to unpickle them.

A pickle can run arbitrary code of its writer. A file written by this process is loaded as before; any other file only
if ``RECBOLE_APA_TRUST_CHECKPOINTS=1`` says that its writer is trusted.
"""

import os
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, TypeGuard

import torch

from recbole_apa.compat.release import replace
from recbole_apa.core.errors import SettingsError

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
    from recbole.data.dataset import Dataset
    from recbole.model.abstract_recommender import AbstractRecommender

Place = str | PathLike[str] | IO[bytes]
"""What torch saves to or loads from."""

TRUST = "RECBOLE_APA_TRUST_CHECKPOINTS"

_written: set[tuple[int, int, int, int]] = set()


def own_torch(module: ModuleType) -> None:
    """Let a RecBole module record the files it saves, and check the files it loads against them."""
    module.torch = _Torch()  # type: ignore[attr-defined]


class _Torch(ModuleType):
    """torch, except for ``save`` and ``load``."""

    def __init__(self) -> None:
        super().__init__("torch")

    def __getattr__(self, name: str) -> object:
        return getattr(torch, name)

    @staticmethod
    def save(state: object, path: Place, **named: Any) -> None:
        """``torch.save``, recording the identity of the file."""
        torch.save(state, path, **named)
        if _is_path(path):
            _written.add(_identity(path))

    @staticmethod
    def load(path: Place, **named: Any) -> Any:
        """See :func:`load`."""
        return load(path, **named)


def load(path: Place, **named: Any) -> Any:
    """``torch.load`` as before torch 2.6 for trusted files; with ``weights_only``, torch's own.

    Raises:
        SettingsError: another process wrote the file, and it has not been declared trusted.
        OSError: the file cannot be read.
    """
    if named.pop("weights_only", False):
        return torch.load(path, weights_only=True, **named)
    is_ours = _is_path(path) and _identity(path) in _written
    if not is_ours and os.environ.get(TRUST) != "1":
        raise SettingsError(
            f"{path} is a pickle written by another process, and a pickle can run its writer's code; if you trust the "
            f"file, set {TRUST}=1 in the environment"
        )
    return torch.load(path, weights_only=False, **named)


def _is_path(path: object) -> TypeGuard[str | PathLike[str]]:
    return isinstance(path, (str, os.PathLike))


def _identity(path: str | PathLike[str]) -> tuple[int, int, int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def quick_start(module: ModuleType) -> None:
    """``recbole.quick_start.load_data_and_model`` with :func:`load`."""
    there: Any = vars(module)

    def load_data_and_model(
        model_file: str,
    ) -> tuple[
        "Config", "AbstractRecommender", "Dataset", "AbstractDataLoader", "AbstractDataLoader", "AbstractDataLoader"
    ]:
        """The configuration, model, dataset and three loaders of a checkpoint, as documented by RecBole."""
        from recbole_apa.data.loaders import dataset_of

        checkpoint = load(model_file)
        config = checkpoint["config"]
        there["init_seed"](config["seed"], config["reproducibility"])
        there["init_logger"](config)
        logger = there["getLogger"]()
        logger.info(config)
        dataset = there["create_dataset"](config)
        logger.info(dataset)
        loaders = there["data_preparation"](config, dataset)
        there["init_seed"](config["seed"], config["reproducibility"])
        model = there["get_model"](config["model"])(config, dataset_of(loaders[0])).to(config["device"])
        model.load_state_dict(checkpoint["state_dict"])
        model.load_other_parameter(checkpoint.get("other_parameter"))
        return config, model, dataset, *loaders

    replace(there["load_data_and_model"], load_data_and_model)
