"""``python -m recbole_apa --model=APA --dataset=ml-100k``: the same as ``run_recbole_apa.py``."""

import sys

from recbole_apa.cli.entry import run_command_line

if __name__ == "__main__":
    sys.exit(run_command_line())
