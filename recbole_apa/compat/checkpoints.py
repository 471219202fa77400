"""RecBole's checkpoints and pretrained weights under torch 2.6 and later, which refuses to unpickle them.

A pickle runs its writer's code. A file that this very process wrote is loaded as ever; any other one only where
``RECBOLE_APA_TRUST_CHECKPOINTS=1`` says that its writer is trusted.
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
"""Where torch saves to or loads from."""

TRUST = "RECBOLE_APA_TRUST_CHECKPOINTS"

_written: set[tuple[int, int, int, int]] = set()


def own_torch(module: ModuleType) -> None:
    """A module of RecBole's that saves or loads: what it saves is noted, and what it loads is looked up."""
    module.torch = _Torch()  # type: ignore[attr-defined]


class _Torch(ModuleType):
    """torch, but for ``save`` and ``load``."""

    def __init__(self) -> None:
        super().__init__("torch")

    def __getattr__(self, name: str) -> object:
        return getattr(torch, name)

    @staticmethod
    def save(state: object, path: Place, **named: Any) -> None:
        """``torch.save`` to a file, whose state is noted."""
        torch.save(state, path, **named)
        if _is_path(path):
            _written.add(_identity(path))

    @staticmethod
    def load(path: Place, **named: Any) -> Any:
        """See :func:`load`."""
        return load(path, **named)


def load(path: Place, **named: Any) -> Any:
    """What ``torch.load`` gave before torch 2.6, for files that may be trusted; with ``weights_only`` torch's own.

    Raises:
        SettingsError: another process wrote the file, and nobody said that it may be trusted.
        OSError: the file cannot be read.
    """
    if named.pop("weights_only", False):
        return torch.load(path, weights_only=True, **named)
    is_ours = _is_path(path) and _identity(path) in _written
    if not is_ours and os.environ.get(TRUST) != "1":
        raise SettingsError(
            f"{path} is a pickle that another process wrote, and a pickle runs its writer's code; if you trust the "
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
        """The configuration, model, dataset and three loaders behind a checkpoint; RecBole documents it."""
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
        model = there["get_model"](config["model"])(config, loaders[0]._dataset).to(config["device"])
        model.load_state_dict(checkpoint["state_dict"])
        model.load_other_parameter(checkpoint.get("other_parameter"))
        return config, model, dataset, *loaders

    replace(there["load_data_and_model"], load_data_and_model)
