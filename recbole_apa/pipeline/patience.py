"""How long a RecBole model trains on without getting better, where a pass reads many rows."""

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
