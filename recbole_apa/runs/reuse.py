"""What a run computed before a request; gives out only what its lineage proves to come from the same sample."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from recbole_apa.data.samples import Sample
from recbole_apa.runs.names import EMBEDDINGS, MEMORY
from recbole_apa.runs.store import RunStore

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class ReusableState:
    """Embeddings and adapter scores of a finished run, by sample.

    A sample whose history was rewritten has a different digest than the run recorded, and gets nothing.

    Args:
        text_states: states of items' texts, by text; nobody's interactions are in them.
    """

    def __init__(self, store: RunStore, text_states: "Mapping[str, np.ndarray] | None" = None) -> None:
        self.text_states = text_states or {}
        self._seen = store.lineage()
        self._embeddings = store.load_embeddings()
        self._memory, _ = store.load_memory()
        self._row = {name: {s: i for i, s in enumerate(sorted(self._seen[name]))} for name in (EMBEDDINGS, MEMORY)}

    def embedding(self, sample: Sample) -> "Tensor | None":
        """h, (d,)."""
        for name, values in ((EMBEDDINGS, self._embeddings), (MEMORY, self._memory.embeddings)):
            if self._same(name, sample):
                return values[self._row[name][sample.sample_id]]
        return None

    def scores(self, sample: Sample) -> "Tensor | None":
        """s_k of each adapter that the run had, (k,)."""
        return self._memory.scores[self._row[MEMORY][sample.sample_id]] if self._same(MEMORY, sample) else None

    def _same(self, artefact: str, sample: Sample) -> bool:
        return self._seen[artefact].get(sample.sample_id) == sample.digest()
