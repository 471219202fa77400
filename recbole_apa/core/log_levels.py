"""Quieter logs for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from logging import WARNING, getLogger


@contextmanager
def warnings_alone(name: str | None = None) -> Iterator[None]:
    """Let a logger pass warnings and errors only.

    Args:
        name: of the logger; None is the root, which RecBole's trainers write to.
    """
    logger = getLogger(name)
    before = logger.level
    logger.setLevel(max(before, WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)
