"""Progress bars in RecBole's manner."""

import sys
from collections.abc import Iterable

from recbole.utils import set_color
from tqdm import tqdm


def progress(items: Iterable[object] | None, title: str, show: bool, total: int | None = None) -> tqdm:
    """A bar as RecBole's: title, time left. Where nobody watches (a file, a pipe) it is drawn now and then only."""
    quiet = 0.1 if sys.stderr.isatty() else 15.0
    title = set_color(f"{title:<24}", "pink")
    return tqdm(items, total=total, ncols=100, desc=title, disable=not show, mininterval=quiet, maxinterval=quiet)
