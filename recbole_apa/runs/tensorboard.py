"""TensorBoard logs of a training, which continues without them if they can no longer be written."""

import secrets
from logging import getLogger
from typing import TYPE_CHECKING

from recbole_apa.runs.log_places import open_scalars, place_of_scalars
from recbole_apa.runs.outside import mark
from recbole_apa.runs.store import RunStore

if TYPE_CHECKING:
    from recbole.config import Config
    from torch.utils.tensorboard import SummaryWriter

    from recbole_apa.runs.log_places import NoScalars


class Board:
    """Passes scalars on to a writer until that fails.

    Args:
        writer: TensorBoard's ``SummaryWriter``, or :class:`~recbole_apa.runs.log_places.NoScalars`.
    """

    def __init__(self, writer: "SummaryWriter | NoScalars") -> None:
        self._writer, self._ended = writer, False
        self.log_dir: str | None = writer.log_dir
        """Where the logs are; None if there are none."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """One value, as in ``SummaryWriter``."""
        if self._ended:
            return
        try:
            self._writer.add_scalar(name, value, step)
        # the writer's thread re-raises whatever it ended with
        except (OSError, RuntimeError, ValueError) as error:
            self._ended = True
            getLogger().warning(f"tensorboard logs in {self.log_dir} cannot be written, and end here: {error}")


def new_board(config: "Config", store: RunStore) -> Board:
    """Logs of a new training with the run's mark, or none if they cannot be written."""
    # a separate folder, so that unlearning can delete what an earlier training wrote there
    name = f"{store.folder.name}-{secrets.token_hex(4)}"
    store.note_board(place_of_scalars(config, name))
    return Board(open_scalars(config, name, lambda folder: mark(folder, store.salt, store.home)))
