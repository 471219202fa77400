"""What the timed benchmarks' command lines have in common, and how their records are saved."""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import torch

from benchmarks.protocol import commit
from recbole_apa.core.system.machine import machine_kind


def command(about: str | None, threads: int | None = None) -> argparse.ArgumentParser:
    """A parser with ``--threads``, ``--out`` and ``--small``.

    Args:
        threads: the default for torch; None means torch's own number.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=threads or torch.get_num_threads())
    parser.add_argument("--out", type=Path, help="where the record goes, as JSON")
    parser.add_argument("--small", action="store_true", help="shows that it runs, not how fast")
    return parser


def begin(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the arguments, set torch's number of threads accordingly, and silence RecBole's log."""
    given = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(given.threads)
    return given


def or_nan(value: float | None) -> float:
    """A figure, NaN if it is undefined; 0 is a figure."""
    return float("nan") if value is None else value


def keep(given: argparse.Namespace, record: dict[str, Any]) -> None:
    """Write the record with commit, threads and machine (which decides ``dtype: auto``), if ``--out`` is given."""
    if given.out:
        about = {"commit": commit(), "threads": given.threads, "torch": torch.__version__}
        about["machine"] = machine_kind("cpu").text()
        given.out.write_text(json.dumps({**about, **record}, indent=1) + "\n")
