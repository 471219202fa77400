"""The time in names of files, as RecBole writes it; RecBole itself is not imported."""

from datetime import datetime


def get_local_time() -> str:
    """Now, e.g. ``Nov-28-2026_04-51-02``."""
    return datetime.now().strftime("%b-%d-%Y_%H-%M-%S")
