"""A request carried out approximately: the affected shards' adapters are moved away from what they learnt of the
forgotten samples, and not trained again. What they hold of them afterwards is not known."""

from functools import cached_property

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.training import ShardHistory
from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.data.dataloader import ShardBatches
from recbole_apa.data.dataset import APADataset
from recbole_apa.pipeline.build import RunResult
from recbole_apa.runs.names import MOVED
from recbole_apa.unlearning.approximate.method import APPROXIMATE_METHODS
from recbole_apa.unlearning.approximate.unlearner import ApproximateUnlearner, Part

EXACT = "exact"


def check_method(name: str) -> None:
    """
    Raises:
        SettingsError: neither ``exact`` nor one of :data:`~recbole_apa.unlearning.approximate.APPROXIMATE_METHODS`.
    """
    problem = APPROXIMATE_METHODS.problem(name, "unlearn_method", EXACT)
    if name != EXACT and problem:
        raise SettingsError(problem)


class ApproximateShardUpdate:
    """Moves the adapters of a run, shard by shard.

    Made while the run's data is as it was: it keeps the prompts that the adapters saw, in memory alone.

    Args:
        left: the training part without what is to be forgotten.
        method: one of :data:`~recbole_apa.unlearning.approximate.APPROXIMATE_METHODS`.
    """

    def __init__(self, opened: RunResult, left: APADataset, method: str) -> None:
        self.method, self.model = method, opened.model
        self.store, self.seed = opened.trainer.store, opened.config["seed"]
        train, valid = opened.data.train_set, opened.data.valid_set
        self._samples = train.samples
        self._seen, self._unseen = Part.of(train, self.model), Part.untouched(valid, self.model, left.visible_data)
        self._shard_of = self.store.load_partition().shard_of
        self._left = left

    @cached_property
    def _retained(self) -> Part:
        """All training samples that remain."""
        return Part.of(self._left, self.model)

    def key(self, exact: str) -> str:
        """What a moved shard's record is known by: never what training it again would be known by."""
        return f"{MOVED}{self.method}:{exact}"

    def update(self, shard: int, batches: ShardBatches) -> tuple[Factors, ShardHistory]:
        """The shard's adapter, moved.

        Raises:
            RunError: the run has no adapter for the shard.
        """
        known = self.store.load_shard(shard)
        if known is None:
            raise RunError(f"shard {shard} has no adapter that could be moved; use --unlearn_method={EXACT}")
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
