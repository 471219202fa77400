"""How threads wait for each other decides what two runs on one machine cost each other (benchmarks/neighbours.py)."""

import os
import subprocess
import sys

import pytest

from tests.helpers.places import ROOT

SHOWN = "import sys, os, recbole_apa; print('torch' in sys.modules, os.environ.get('GOMP_SPINCOUNT'))"


@pytest.mark.parametrize(
    ("own", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_wait_briefly_unless_told_otherwise(own, expected):
    """Set before torch is loaded, or it would have no effect."""
    kept = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    shown = subprocess.run(
        [sys.executable, "-c", SHOWN], env={**kept, **own}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["False", expected]
