"""The files of a run's collaborative statistics: read as they were written, and refused if anything is odd."""

import json
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from recbole_apa.collaborative import ItemCodes
from recbole_apa.core.errors import RunError
from recbole_apa.runs.collaborative_files import load_collaborative, save_collaborative
from recbole_apa.runs.names import COLLABORATIVE_SCORES, COLLABORATIVE_SUMS, COMBINATION
from recbole_apa.runs.store import RunStore
from tests.helpers.places import ROOT
from tests.helpers.runs import copy_run

PAIRS = ("pairs.first", "pairs.second")
FILES = (COLLABORATIVE_SUMS, COLLABORATIVE_SCORES, COMBINATION)


@pytest.fixture
def store(finished, tmp_path):
    return RunStore(copy_run(finished, tmp_path / "run"))


def codes_of(store):
    return ItemCodes(store.open_index().items.names)


def test_they_are_read_as_they_were_written(finished, store):
    read = load_collaborative(store, codes_of(store))
    assert read.combination.to_json() == finished.trainer.combined.fitted.combination.to_json()
    before = {name: (store.folder / name).read_bytes() for name in FILES}
    save_collaborative(store, read)
    assert {name: (store.folder / name).read_bytes() for name in FILES} == before
    assert set(FILES) <= set(store.manifest()["files"])


def test_scores_are_those_of_the_samples_in_order_of_id(finished, store):
    scores = load_collaborative(store, codes_of(store)).scores
    known, part = finished.trainer.known_valid_scores["prediction"].numpy(), finished.data.valid_set
    order = sorted(range(len(part.samples)), key=lambda i: part.samples[i].sample_id)
    assert scores["valid"].tolist() == known[order].astype(np.float64).tolist()
    part = finished.data.test_set
    weights = finished.model.weights(finished.model.prompts_of(part))
    test = finished.trainer.aggregate(part, weights, "decomposition", "", False).numpy()
    order = sorted(range(len(part.samples)), key=lambda i: part.samples[i].sample_id)
    assert scores["test"].tolist() == test[order].astype(np.float64).tolist()


def test_torch_is_not_needed_to_read_them(store):
    code = (
        "import sys; from pathlib import Path; from recbole_apa.runs.store import RunStore\n"
        "from recbole_apa.runs.collaborative_files import load_collaborative\n"
        "from recbole_apa.collaborative import ItemCodes\n"
        f"store = RunStore(Path({str(store.folder)!r}))\n"
        "fitted = load_collaborative(store, ItemCodes(store.open_index().items.names))\n"
        "assert fitted.combination and 'torch' not in sys.modules and 'recbole' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=900)


def tensors(change):
    def edit(path):
        arrays = load_file(path)
        change(arrays)
        save_file(arrays, path)

    return edit


def json_with(change):
    def edit(path):
        told = json.loads(path.read_text())
        change(told)
        path.write_text(json.dumps(told))

    return edit


@pytest.mark.parametrize(
    "name, edit, says",
    [
        (COLLABORATIVE_SUMS, lambda path: path.write_bytes(b"x" * 40), "is damaged"),
        (COLLABORATIVE_SUMS, lambda path: path.unlink(), "missing|no such|not there|sums"),
        (COLLABORATIVE_SUMS, tensors(lambda t: t.pop("items.n")), "found arrays"),
        (COLLABORATIVE_SUMS, tensors(lambda t: t.update({"items.n": t["items.n"][:-1]})), "found arrays"),
        (COLLABORATIVE_SUMS, tensors(lambda t: t["items.n"].__setitem__(0, -1)), "negative counts"),
        (COLLABORATIVE_SUMS, tensors(lambda t: t["pairs.n"].__setitem__(0, -1)), "negative counts"),
        (COLLABORATIVE_SUMS, tensors(lambda t: t["pairs.first"].__setitem__(-1, 20)), "items that there are not"),
        (COLLABORATIVE_SUMS, tensors(lambda t: t["pairs.second"].__setitem__(0, -3)), "items that there are not"),
        (COLLABORATIVE_SUMS, tensors(lambda t: t.update({n: t[n][::-1].copy() for n in PAIRS})), "out of order"),
        (COLLABORATIVE_SCORES, tensors(lambda t: t.pop("valid")), "expected valid and test"),
        (COLLABORATIVE_SCORES, tensors(lambda t: t.update(more=t["valid"])), "expected valid and test"),
        (COLLABORATIVE_SCORES, tensors(lambda t: t.update(valid=t["valid"][:-1])), "expected float64 of 12"),
        (COLLABORATIVE_SCORES, tensors(lambda t: t.update(test=t["test"] + 1)), "outside 0 to 1"),
        (COLLABORATIVE_SCORES, tensors(lambda t: t.update(test=t["test"] * np.nan)), "outside 0 to 1"),
        (COMBINATION, lambda path: path.write_text("[]"), "is damaged"),
        (COMBINATION, lambda path: path.write_text("{"), "is damaged"),
        (COMBINATION, json_with(lambda told: told["combination"].pop("served")), "not as this program writes it"),
        (COMBINATION, json_with(lambda told: told["term_options"].pop("years")), "is damaged"),
        (COMBINATION, json_with(lambda told: told.update(combination=None)), "does not fit"),
    ],
)
def test_odd_files_are_refused(store, name, edit, says):
    edit(store.folder / name)
    with pytest.raises(RunError, match=says):
        load_collaborative(store, codes_of(store))
