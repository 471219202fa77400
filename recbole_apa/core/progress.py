"""Progress bars in RecBole's style."""

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(items: Iterable[object] | None, title: str, show: bool, total: int | None = None) -> tqdm:
    """A progress bar like RecBole's: title, time left. Redrawn only rarely if the output is not a terminal."""
    quiet = 0.1 if sys.stderr.isatty() else 15.0
    if show:
        from recbole.utils import set_color

        title = set_color(f"{title:<24}", "pink")
    return tqdm(items, total=total, ncols=100, desc=title, disable=not show, mininterval=quiet, maxinterval=quiet)
