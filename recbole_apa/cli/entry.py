"""Where the command line starts. Imports nothing heavy, so that ``--version`` answers at once."""

import platform
import sys
from importlib import metadata

import recbole_apa


def run_command_line() -> int:
    """Run the command line with the process's arguments.

    Returns:
        the exit status: see :func:`recbole_apa.cli.main.main`.
    """
    if sys.argv[1:] == ["--version"]:
        print(version_text())
        return 0
    from recbole_apa.cli.main import main

    return main()


def version_text() -> str:
    """The versions of this package, of Python and of torch, without importing torch."""
    try:
        torch = metadata.version("torch")
    except metadata.PackageNotFoundError:
        torch = "not installed"
    return f"recbole-apa {recbole_apa.__version__}, Python {platform.python_version()}, torch {torch}"
