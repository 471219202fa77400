"""Run folders that commit 86d8546 wrote (tests/data/old_runs)."""

import json

from tests.helpers.places import ROOT

OLD = ROOT / "tests" / "data" / "old_runs"
PLACES = {"data_path": str(OLD / "data"), "backbone": str(OLD / "backbone"), "show_progress": False}


def expected(name):
    return json.loads((OLD / name / "expected.json").read_text())


def lasting(metrics):
    """Figures that are neither times nor sizes."""
    return {k: v for k, v in metrics.items() if not k.endswith(("_seconds", "_bytes"))}
