"""Command line of recbole-apa: ``python run_recbole_apa.py --model=APA --dataset=ml-100k``."""

import sys

from recbole_apa.cli.entry import run_command_line

if __name__ == "__main__":
    sys.exit(run_command_line())
