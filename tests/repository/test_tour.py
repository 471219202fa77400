"""The notebook of the book runs, and shows what it shows there."""

import os

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.places import ROOT

TOUR = ROOT / "docs" / "tour.ipynb"


def is_code(cell):
    return cell["cell_type"] == "code"


def varies(cell):
    """Whether a cell's output differs from machine to machine."""
    return "varies" in cell["metadata"].get("tags", [])


def printed(cell):
    """What a cell wrote to standard output; standard error may hold warnings of libraries."""
    return "".join(o["text"] for o in cell["outputs"] if o["output_type"] == "stream" and o["name"] == "stdout")


def test_outputs_that_vary_are_not_kept():
    cells = list(filter(is_code, nbformat.read(TOUR, 4)["cells"]))
    assert cells and all(not cell["outputs"] for cell in cells if varies(cell))
    assert all(cell["execution_count"] is None for cell in cells)
    assert sum(bool(printed(cell)) for cell in cells) >= 4


@pytest.mark.slow
@pytest.mark.realdata
def test_the_tour_runs_and_prints_what_it_shows(monkeypatch, tmp_path):
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in paths if path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # what it leaves goes with the test's own folder
    shown = nbformat.read(TOUR, 4)
    ran = nbformat.read(TOUR, 4)
    NotebookClient(ran, timeout=1500, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    for before, after in zip(shown["cells"], ran["cells"], strict=True):
        if is_code(before):
            assert bool(printed(after)) or "print(" not in before["source"], before["source"]
            assert varies(before) or printed(after) == printed(before), before["source"]
