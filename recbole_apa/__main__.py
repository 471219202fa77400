"""``python -m recbole_apa --model=APA --dataset=ml-100k``: the same as ``run_recbole_apa.py``."""

import sys

from recbole_apa.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
