"""Run folders that commit 86d8546 wrote (tests/data/old_runs)."""

import json
import shutil
import tempfile
from functools import lru_cache

from recbole_apa import verify
from tests.helpers.places import ROOT

OLD = ROOT / "tests" / "data" / "old_runs"
PLACES = {"data_path": str(OLD / "data"), "backbone": str(OLD / "backbone"), "show_progress": False}


def expected(name):
    return json.loads((OLD / name / "expected.json").read_text())


OF_EMBEDDINGS = ("shards/", "partition.safetensors", "memory.safetensors", "scores of")
"""What is computed from kept embeddings and activations."""


def new_differences(folder, name):
    """What differs from training from scratch, beyond what did so before anything was forgotten: another processor than
    the one that trained the old run may round otherwise, and nothing differs on that one.

    Where the kept embeddings are rounded otherwise, so may be all that is computed from them, in one file or another.
    """
    found, untouched = _differing(folder), _untouched(name)
    if "embeddings.safetensors" in untouched:
        found = {text for text in found if not text.startswith(OF_EMBEDDINGS)}
    return found - untouched


def _differing(folder):
    return {text.split(":")[0].removesuffix(" differs") for text in verify(folder, PLACES).differences}


@lru_cache
def _untouched(name):
    with tempfile.TemporaryDirectory() as place:
        return _differing(shutil.copytree(OLD / name / "run", f"{place}/run"))
