"""The command line: ``recbole-apa``, ``python -m recbole_apa``, ``run_recbole_apa.py``.

It may know every room, and may not know how anything is computed: it parses, calls one function of a room, and prints.
"""

from recbole_apa.cli.entry import run_command_line

__all__ = ["run_command_line"]
