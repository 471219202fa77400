"""What a program that hides nothing, and checks nothing, has certified: a right one finds it afterwards."""

import shutil

import pytest

from recbole_apa import audit, unlearn, verify
from recbole_apa.core.errors import RunError
from recbole_apa.runs.store import RunStore
from tests.helpers.broken_hiding import nothing_is_hidden, with_the_run_in_ram
from tests.helpers.runs import copy_run, shown_interaction


@pytest.mark.slow
def test_what_was_certified_by_a_broken_program_is_found_later(finished, tmp_path, monkeypatch):
    """Names are not known any more: rows of the index and of the raw files are recognised by keyed digests."""
    folder = copy_run(finished, tmp_path / "run")
    with monkeypatch.context() as patch:
        with_the_run_in_ram(patch)
        nothing_is_hidden(patch)
        for place in ("prepare.refuse_in_data", "exact.refuse_in_state", "exact.refuse_in_index"):
            patch.setattr(f"recbole_apa.unlearning.{place}", lambda *a: None)
        assert not unlearn(folder, interactions=[shown_interaction(finished)]).plan.affected
        assert audit(folder).findings == ["1 forgotten interactions in index/"]
        assert any("can be reached: 1 rows of the data" in d for d in verify(folder).differences)
    assert "1 forgotten interactions in index/" in audit(folder).findings
    with pytest.raises(RunError, match="its index has 1 forgotten interactions; ask --audit"):
        verify(folder)


@pytest.mark.slow
def test_the_same_in_a_run_without_an_index(uncounted, tmp_path, monkeypatch):
    """As older versions left them, without statistics: the run is opened from the raw files."""
    folder = copy_run(uncounted, tmp_path / "run")
    shutil.rmtree(folder / "index")
    RunStore(folder).seal({})
    with monkeypatch.context() as patch:
        nothing_is_hidden(patch)
        for place in (
            "prepare.refuse_in_data",
            "exact.refuse_in_state",
            "exact.refuse_in_index",
            "exact.write_next_index",
        ):
            patch.setattr(f"recbole_apa.unlearning.{place}", lambda *a, **k: None)
        unlearn(folder, interactions=[shown_interaction(uncounted)])
        assert not (folder / "index").exists()
        assert any("can be reached: 1 rows of the data" in f for f in audit(folder).findings)
    assert any("the dataset" in f for f in audit(folder).findings)
    with pytest.raises(RunError, match="not the one that the run was made of"):
        verify(folder)
