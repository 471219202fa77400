"""Tensorboard logs of a training. They describe it: where they cannot be written, it goes on without them."""

from logging import getLogger
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter


class Board:
    """Writes scalars, or none where there is no folder.

    Args:
        folder: made here; None writes nothing.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._writer: Any = None
        self.log_dir = None if folder is None else str(folder)
        """Where the logs lie; None without any."""
        if folder is not None:
            self._attempt(lambda: setattr(self, "_writer", SummaryWriter(str(folder))))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """One value, as of ``SummaryWriter``."""
        if self._writer is not None:
            self._attempt(lambda: self._writer.add_scalar(name, value, step))

    def _attempt(self, action: Any) -> None:
        try:
            action()
        # the writer's thread passes on whatever it ended with
        except (OSError, RuntimeError, ValueError) as error:
            self._writer = None
            getLogger().warning(f"tensorboard logs in {self.log_dir} cannot be written, and end here: {error}")
