"""What a run would serve if the training of all shards had ended early: nothing is trained, and nothing is written.

Shapes: v validation samples, k shards, in order of sample id.
"""

from collections.abc import Iterable, Sequence
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from recbole_apa.adapters.aggregation import Memory, settle_weights
from recbole_apa.adapters.bank import Factors
from recbole_apa.core.places import Place, Places
from recbole_apa.data.dataset import APADataset
from recbole_apa.model.combined_scores import CombinedScores
from recbole_apa.model.lineage import Piece, chain_of, sample_order
from recbole_apa.model.trainer import APATrainer
from recbole_apa.model.validation_memory import of_memory
from recbole_apa.runs.names import point_name


class PrefixStates:
    """The states of a trained run in which every shard serves its adapter from before a place. The run's model is
    changed inside the context, and is what it was afterwards.

    Args:
        trainer: of the run, whose store has the restart points.
        train_set: its training samples.
        valid_set: its validation samples.
        places: when each training sample is trained.
    """

    def __init__(self, trainer: APATrainer, train_set: APADataset, valid_set: APADataset, places: Places) -> None:
        assert trainer.store is not None and trainer.partition is not None and trainer.model.rule is not None
        self.trainer, self.store, self.model = trainer, trainer.store, trainer.model
        self.valid_set, self.rule, ends = valid_set, trainer.model.rule, trainer.store.load_prefixes()
        self.order, self.prompts = sample_order(valid_set.samples), trainer.model.prompts_of(valid_set)
        by_id = {s.sample_id: s for s in train_set.samples}
        self.chains: dict[int, list[Piece]] = {}
        for k in range(trainer.partition.n_shards):
            chain = chain_of(k, [by_id[name] for name in trainer.partition.members(k)], places)
            self.chains[k] = [piece for piece in chain if k not in ends or piece.place < ends[k]]
        self._columns = {
            (k, len(chain)): self.rule.memory.scores[:, k]
            for k, chain in self.chains.items()
            if bool(self.rule.active[k])
        }

    def __enter__(self) -> "PrefixStates":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._set_adapters({k: len(chain) for k, chain in self.chains.items()})
        self.model.rule = self.rule

    def serve(self, end: Place) -> int:
        """Let the model answer from the adapters before a place; tau and n are settled for them.

        Args:
            end: of the first training, or of an addition; what a shard has not been trained on is not served either.

        Returns:
            how many training samples these adapters have seen.
        """
        n_done = {k: sum(piece.place < end for piece in chain) for k, chain in self.chains.items()}
        self._set_adapters(n_done)
        missing = [k for k, n in n_done.items() if n and (k, n) not in self._columns]
        for k, column in zip(missing, self._scores_of(missing), strict=True):
            self._columns[k, n_done[k]] = column
        scores = torch.zeros_like(self.rule.memory.scores)
        active = torch.zeros_like(self.rule.active)
        for k, n in n_done.items():
            if n:
                scores[:, k], active[k] = self._columns[k, n], True
        known, given = self.rule.memory, self.model.settings.aggregation
        memory = Memory(known.embeddings, scores, known.labels, known.users)
        tau, n_neighbors = settle_weights(memory, active, given.tau, given.n_neighbors)
        self.model.set_rule(memory, self.rule.centres, active, tau, n_neighbors)
        return _n_samples(piece for k, chain in self.chains.items() for piece in chain[: n_done[k]])

    @property
    def n_trained(self) -> int:
        """How many training samples the run's own adapters have seen."""
        return _n_samples(piece for chain in self.chains.values() for piece in chain)

    def combined(self) -> CombinedScores | None:
        """What is served now: the run's statistics, combined with what the model now says about validation samples."""
        if self.trainer.combined is None or not self.valid_set.samples:
            return self.trainer.combined
        assert self.model.rule is not None
        known, how = of_memory(self.model.rule, self.valid_set), self.model.settings.validation_aggregation
        if how not in known:
            known[how] = self.trainer.aggregate(self.valid_set, known["weights"], how, "Validate", False)
        return self.trainer.combined.refitted(self.valid_set, known[how].numpy().astype(np.float64))

    def _set_adapters(self, n_done: dict[int, int]) -> None:
        adapters: list[Factors | None] = [None] * len(self.rule.active)
        for k, n in n_done.items():
            adapters[k] = self._adapter(k, n)
        self.model.set_adapters(adapters)

    def _adapter(self, shard: int, n_done: int) -> Factors | None:
        """The adapter of a shard after some of its places."""
        if not n_done:
            return None
        chain = self.chains[shard]
        point = "" if n_done == len(chain) else point_name(*chain[n_done].place)
        found = self.store.load_shard(shard, point)
        assert found is not None
        return found[0]

    def _scores_of(self, shards: Sequence[int]) -> Sequence[Tensor]:
        """Scores of the validation samples with single adapters of those that are set now, (v,) each."""
        if not shards or not self.order:
            return [torch.zeros(0)] * len(shards)
        prompts, size = [self.prompts[i] for i in self.order], self.model.engine.step_size
        steps = range(0, len(prompts), size)
        found = torch.cat([self.model.engine.adapter_scores(prompts[i : i + size], tuple(shards)) for i in steps])
        return list(found.T)


def _n_samples(pieces: Iterable[Piece]) -> int:
    return sum(len(piece.samples) for piece in pieces)
