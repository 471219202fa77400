"""Run folders with an index and little else: no model was trained for them."""

import torch

from recbole_apa.data.index.change import rewrite
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.write import write_index
from recbole_apa.partition import Partition
from recbole_apa.runs.identity import RunIdentity
from recbole_apa.runs.names import INDEX
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.commit import pending_store
from tests.helpers.index_rows import some_rows

CHOSEN = {"tau": 1.0, "n_neighbors": 3}


def identity():
    return RunIdentity({"backbone": "tiny"}, {"dataset": "board"}, "", "", "", {})


def begun(store):
    """A run of one sample, with the files that a commit looks at."""
    store.begin(identity(), {})
    store.save_partition(Partition({"u1:i1": 0}, torch.zeros(1, 2)))
    (store.folder / "shards" / "000").mkdir(parents=True)
    (store.folder / "shards" / "000" / "training.json").write_text('{"key": "x"}\n')
    return store


def run_with_index(folder, rows=None, n_parts=4):
    """A finished run."""
    store = begun(RunStore(folder))
    write_index(folder / INDEX, rows or some_rows(), store.salt, About(), n_parts=n_parts)
    store.seal({"chosen": CHOSEN})
    return store


def pending_change(store, change):
    """A complete pending state whose index is changed."""
    pending = begun(pending_store(store))
    rewrite(store.open_index(), pending.folder / INDEX, change)
    pending.seal({"chosen": CHOSEN, "ready": True})
    return pending
