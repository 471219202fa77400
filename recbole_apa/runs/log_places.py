"""Where RecBole's log and TensorBoard's go; if one cannot be written, one line says so and there is none."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from logging import Logger, getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_apa.core.errors import RunError
from recbole_apa.runs.log import start_log

if TYPE_CHECKING:
    from recbole.config import Config
    from torch.utils.tensorboard import SummaryWriter

LOG, TENSORBOARD = "log", "log_tensorboard"
LOG_DIR = "log_dir"


def open_log(config: "Config") -> None:
    """Start the log; if its file cannot be created, it is only shown."""
    folder = _root(config) / LOG
    try:
        start_log(config, folder)
    except OSError as error:
        start_log(config, None)
        getLogger().warning(f"no log is written under {folder.absolute()}: {error.strerror}; {_ADVICE}")


def open_scalars(config: "Config", name: str, mark: Callable[[Path], None]) -> "SummaryWriter | NoScalars":
    """TensorBoard's writer for a folder ``name``; one that writes nothing if the folder cannot be created.

    Args:
        mark: writes into the folder which run it belongs to.
    """
    return _writer(place_of_scalars(config, name), mark)


def place_of_scalars(config: "Config", name: str) -> Path:
    """The folder that :func:`open_scalars` creates."""
    return _root(config) / TENSORBOARD / name


class NoScalars:
    """Accepts figures like TensorBoard's writer, and writes none."""

    log_dir: None = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        if not name.startswith(("add_", "flush", "close")):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


@contextmanager
def nothing_made() -> Iterator[None]:
    """RecBole trainers created meanwhile make no folders: neither for checkpoints nor for TensorBoard."""
    token = _makes.set(None)
    try:
        yield
    finally:
        _makes.reset(token)


@contextmanager
def places_of(config: "Config") -> Iterator[None]:
    """RecBole trainers created meanwhile write their figures where ``log_dir`` says."""
    token = _makes.set(_root(config))
    try:
        yield
    finally:
        _makes.reset(token)


def apply() -> None:
    """Make RecBole's trainers get their folders from here. Safe to call again."""
    module: Any = importlib.import_module("recbole.trainer.trainer")
    if module.ensure_dir is not _ensure_dir:
        module.get_tensorboard, module.ensure_dir = _get_tensorboard, _ensure_dir


def _get_tensorboard(logger: Logger) -> "SummaryWriter | NoScalars":
    """Like RecBole's in ``utils/utils.py``: named like the log."""
    from recbole.utils import get_local_time

    root = _makes.get()
    if root is None:
        return NoScalars()
    files = [h.baseFilename for h in logger.handlers if hasattr(h, "baseFilename")]
    return _writer(root / TENSORBOARD / (Path(files[0]).stem if files else f"model-{get_local_time()}"))


def _ensure_dir(folder: str) -> None:
    if _makes.get() is None:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"cannot create {folder} for checkpoints: {error.strerror}; name another folder with --checkpoint_dir"
        ) from error


def _writer(folder: Path, mark: Callable[[Path], None] | None = None) -> "SummaryWriter | NoScalars":
    from torch.utils.tensorboard import SummaryWriter

    try:
        folder.mkdir(parents=True, exist_ok=True)
        if mark:
            mark(folder)
        return SummaryWriter(str(folder))
    except (OSError, RunError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        getLogger().warning(f"nothing is written for tensorboard under {folder.parent.absolute()}: {why}; {_ADVICE}")
        return NoScalars()


def _root(config: "Config") -> Path:
    return Path(config[LOG_DIR] or ".").expanduser()


_ADVICE = f"name another place with --{LOG_DIR}"
_makes: ContextVar[Path | None] = ContextVar("recbole_apa_log_places", default=Path("."))
"""Where RecBole's trainers make their folders; None: nowhere."""
