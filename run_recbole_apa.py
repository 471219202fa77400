"""Command line of recbole-apa: ``python run_recbole_apa.py --model=APA --dataset=ml-100k``."""

import sys

from recbole_apa.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
