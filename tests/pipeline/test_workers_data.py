"""Workers get samples: they read no data file, and keep nothing of an earlier state."""

import shutil
import weakref
from dataclasses import replace

import numpy as np
import pytest

from recbole_apa import audit, run, unlearn
from recbole_apa.data.index.facts import Addition
from recbole_apa.data.index.rows import DRAWN, TRAIN, IndexedRows
from recbole_apa.data.sent_samples import samples_to_send
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.model.contracts import FitInputs
from recbole_apa.pipeline import trainer_factory
from recbole_apa.pipeline.build import build_model
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.workers.pool import WorkerPool, pool_of
from recbole_apa.pipeline.workers.processes import ProcessTeam
from recbole_apa.runs.store import RunStore
from tests.helpers.runs import state, tree


@pytest.fixture
def all_by_workers(monkeypatch):
    """Processes on this machine also embed and score, as Ray's actors do."""

    def that_embeds(config):
        pool = pool_of(config)
        if pool:
            pool.embeds = True
        return pool

    monkeypatch.setattr(trainer_factory, "pool_of", that_embeds)


@pytest.fixture
def own_data(data_folder, tmp_path):
    return shutil.copytree(data_folder, tmp_path / "data")


class Hidden:
    """Takes a folder away while there are workers."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.times = folder, 0
        self.away, begin, close = folder.with_name("away"), ProcessTeam.__init__, ProcessTeam.close

        def hide(team, setup, n_workers):
            folder.rename(self.away)
            self.times += 1
            begin(team, setup, n_workers)

        def show(team):
            close(team)
            self.away.rename(folder)

        monkeypatch.setattr(ProcessTeam, "__init__", hide)
        monkeypatch.setattr(ProcessTeam, "close", show)


@pytest.mark.slow
def test_workers_need_no_data_file(options, finished, served, own_data, tmp_path, monkeypatch, all_by_workers):
    hidden, folder = Hidden(own_data, monkeypatch), tmp_path / "run"
    run("APA", "board", config_dict={**options, "data_path": str(own_data), "workers": 2}, run_dir=folder)
    assert hidden.times == 1
    assert state(folder) == state(finished.run_dir)
    unlearn(folder, users=["u3"], config_dict={"workers": 2})
    assert hidden.times == 2
    assert state(folder) == state(served)
    assert audit(folder).findings == []


def grown_data(config, whole):
    """Data whose later training targets are in the index alone, as piece 1.

    Args:
        whole: the training part of the data with all rows.
    """
    made = whole.run_data
    rows = made.index_rows()
    late = (rows.times % 1000 >= 9) & (rows.roles == TRAIN) & (rows.flags & DRAWN != 0)
    since = late.astype(np.int32)
    inter = whole.stem.with_suffix(".inter")
    head, *lines = inter.read_text().splitlines()
    left = [line for line, added in zip(lines, since[np.argsort(rows.places)], strict=True) if not added]
    inter.write_text("\n".join([head, *left]) + "\n")
    roles = {name: frozenset(s.sample_id for s in samples) for name, samples in made.samples.items()}
    added = Addition(int(since.sum()), int(since.sum()), 1, 1)
    indexed = IndexedRows(replace(rows, since=since), additions=(added,))
    return build_data(config, VisibleData(roles=roles, cutoffs=made.cutoffs), indexed=indexed)


@pytest.mark.slow
def test_samples_that_no_file_has_are_trained(options, own_data, tmp_path, all_by_workers):
    changes = {"data_path": str(own_data)}
    config = APAConfig("APA", "board", None, {**options, **changes})
    data = grown_data(config, build_data(config).train_set)
    pieces = data.train_set.run_data.pieces
    assert pieces and set(pieces.values()) == {1}
    digests = []
    for n_workers in (1, 2):
        config = APAConfig("APA", "board", None, {**options, **changes, "workers": n_workers})
        folder = tmp_path / f"run{n_workers}"
        inputs = FitInputs(pieces=pieces, writes_board=False)
        trainer = trainer_factory.make_trainer(config, build_model(config, data), RunStore(folder), inputs)
        trainer.fit(data.train, data.valid)
        digests.append({n: d for n, d in tree(folder).items() if n.endswith(".safetensors")})
    assert digests[0] == digests[1]
    assert any("points" in name for name in digests[0])


def test_a_pool_keeps_no_samples_of_an_earlier_state(finished, options):
    part = finished.data.train_set
    pool = WorkerPool(APAConfig("APA", "board", None, {**options, "workers": 2}))

    def given():
        samples = samples_to_send({"train": part.samples}, part.run_data.texts.text_of)
        pool.see(samples)
        return weakref.ref(samples)

    first = given()
    second = given()
    assert first() is None and second() is not None
    pool.close()
    assert second() is None
