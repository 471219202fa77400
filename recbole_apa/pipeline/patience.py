"""How long a RecBole model trains on without getting better, where a pass reads many rows; and in which batches."""

from collections.abc import Mapping

from recbole_apa.core.errors import SettingsError

STOPPING_ROWS = "stopping_rows"
"""An option of ours beside RecBole's ``stopping_step``: how many rows are read at most without an improvement."""
FEWEST_PASSES = 10
"""RecBole's own patience."""


def patience(passes: int, most_rows: int | None, n_rows: int) -> int:
    """How many passes without an improvement end a training.

    Args:
        passes: at most; RecBole's ``stopping_step``.
        most_rows: that these passes may read together, :data:`FEWEST_PASSES` excepted; None: any number.
        n_rows: of one pass.
    """
    return passes if most_rows is None else min(passes, max(FEWEST_PASSES, most_rows // n_rows))


def check_stopping_rows(options: Mapping[str, object]) -> None:
    """
    Args:
        options: of a RecBole model.

    Raises:
        SettingsError: :data:`STOPPING_ROWS` is no number of rows.
    """
    rows = options.get(STOPPING_ROWS)
    if rows is not None and (not isinstance(rows, int) or isinstance(rows, bool) or rows < 1):
        raise SettingsError(f"{STOPPING_ROWS}: found {rows!r}, expected a whole number of at least 1, or null")


def batch_without_single(n_rows: int, size: int) -> int:
    """The smallest batch size from ``size`` on that leaves no last batch of one row, which no model can normalise."""
    while n_rows > 1 and size > 1 and n_rows % size == 1:
        size += 1
    return size
