"""A comparison's runs are deleted when it ends: what their log says of their files is of no use to anybody."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def nothing_said_of(folder: Path) -> Iterator[None]:
    """Leave out lines that name a path in ``folder``, such as where to resume a run that is deleted."""

    def names_none(record: logging.LogRecord) -> bool:
        return str(folder) not in record.getMessage()

    log = logging.getLogger()
    log.addFilter(names_none)
    try:
        yield
    finally:
        log.removeFilter(names_none)
