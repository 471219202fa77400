"""Carry out a request approximately: the affected shards' adapters are moved away from what they learnt from the
forgotten samples instead of being retrained. How much of it they still contain is not known."""

from functools import cached_property

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.training import ShardHistory
from recbole_apa.core.errors import RunError
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.data.dataloader import ShardBatches
from recbole_apa.data.dataset import APADataset
from recbole_apa.pipeline.build import RunResult
from recbole_apa.runs.names import MOVED
from recbole_apa.unlearning.approximate.known import APPROXIMATE_METHODS, EXACT
from recbole_apa.unlearning.approximate.unlearner import ApproximateUnlearner, Part


class ApproximateShardUpdate:
    """Moves the adapters of a run, shard by shard.

    Created before the run's data changes: it keeps the prompts that the adapters saw, only in RAM.

    Args:
        left: the training part without what is to be forgotten.
        method: one of :data:`~recbole_apa.unlearning.approximate.APPROXIMATE_METHODS`.
    """

    def __init__(self, opened: RunResult, left: APADataset, method: str) -> None:
        self.method, self.model = method, opened.model
        self.store, self.seed = opened.store, opened.config["seed"]
        train, valid = opened.data.train_set, opened.data.valid_set
        self._samples = train.samples
        self._seen, self._unseen = Part.of(train, self.model), Part.untouched(valid, self.model, left.visible_data)
        partition = self.store.load_partition()
        assert partition is not None
        self._shard_of = partition.shard_of
        self._left = left

    @cached_property
    def _retained(self) -> Part:
        """All training samples that remain."""
        return Part.of(self._left, self.model)

    def key(self, exact: str) -> str:
        """The key of a moved shard's record; never the key that retraining would give."""
        return f"{MOVED}{self.method}:{exact}"

    def update(self, shard: int, batches: ShardBatches) -> tuple[Factors, ShardHistory]:
        """The shard's adapter, moved.

        Raises:
            RunError: the run has no adapter for the shard.
        """
        known = self.store.load_shard(shard)
        if known is None:
            raise RunError(f"shard {shard} has no adapter to move; use --unlearn_method={EXACT}")
        now = {s.sample_id: s.digest() for s in batches.samples}
        gone = [
            i
            for i, s in enumerate(self._samples)
            if self._shard_of[s.sample_id] == shard and now.get(s.sample_id) != s.digest()
        ]
        retained = self._retained.some(batches.positions)
        parts = {"forget": self._seen.some(gone), "retain": retained, "valid": self._unseen}
        unlearner = ApproximateUnlearner(self.model, known[0], parts, self.seed)
        history = unlearner.forget(APPROXIMATE_METHODS.find(self.method)())[1]
        history.machine = machine_kind(self.model.engine.decoder.device).plain()
        return self.model.engine.bank.extract(0), history
