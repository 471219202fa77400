"""One adapter for each shard: reused, found on disk, trained here or by workers, or updated."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any

from recbole.utils import set_color

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.peft_files import PeftDescription
from recbole_apa.adapters.training import ShardHistory
from recbole_apa.data.dataloader import ShardBatches, ShardingDataLoader
from recbole_apa.model.apa import APA
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.lineage import shard_key
from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.partition import Partition
from recbole_apa.runs.manifest import ShardRecord

Done = tuple[Factors, ShardRecord]
"""An adapter, and the record of its training."""


@dataclass(frozen=True)
class _Shard:
    """A shard to be trained."""

    number: int
    batches: ShardBatches
    key: str
    """A digest that changes with its samples."""


class ShardBuilder:
    """Builds the adapters of one partition.

    Args:
        train_data: RecBole's loader of the training samples.
    """

    def __init__(self, fit: FitContext, train_data: ShardingDataLoader, partition: Partition) -> None:
        self.fit, self.train_data, self.partition = fit, train_data, partition

    def adapters(self) -> list[Factors | None]:
        """One adapter for each shard; None for an empty one."""
        start, fit = time.perf_counter(), self.fit
        full = [self._shard(k) for k, n in enumerate(self.partition.sizes()) if n]
        known = {shard.number: self._known(shard) for shard in full}
        missing = [shard for shard in full if known[shard.number] is None]
        if self._are_for_workers(missing):
            known |= self._train_elsewhere(missing)
        else:
            size = 1 if fit.inputs.shard_update else fit.model.settings.training.fused_shards
            for begin in range(0, len(missing), size):
                known |= self._train_here(missing[begin : begin + size])
        adapters: list[Factors | None] = []
        for k in range(self.partition.n_shards):
            done = known.get(k)
            adapters.append(done and done[0])
            fit.record.shards.append(done[1] if done else {})
        if missing:
            fit.record.add_seconds("train_shards_seconds", start)
        return adapters

    def _shard(self, number: int) -> _Shard:
        settings = self.fit.model.settings
        members = self.partition.members(number)
        batches = self.train_data.shard(members, settings.training.train_batch_size, settings.seed)
        return _Shard(number, batches, shard_key(number, batches.samples))

    def _known(self, shard: _Shard) -> Done | None:
        """A shard finished before an interruption of this training, or unaffected in the preceding state."""
        store, inputs = self.fit.store, self.fit.inputs
        if store is None:
            return None
        # an approximate request does not touch what an earlier one updated
        or_moved = inputs.shard_update is not None
        done = store.finished_shard(shard.number, shard.key, or_moved)
        if done is None and store.base and inputs.reuse:
            done = store.base.finished_shard(shard.number, shard.key, or_moved)
            if done is not None:
                self.fit.record.taken_over.append(shard.number)
        elif done is not None:
            getLogger().info(f"shard {shard.number + 1} is already on disk, not trained again")
        return done

    def _are_for_workers(self, missing: Sequence[_Shard]) -> bool:
        pool = self.fit.inputs.pool
        if pool is None or self.fit.inputs.shard_update:
            return False
        return len(missing) > 1 or (bool(missing) and pool.is_elsewhere)

    def _train_elsewhere(self, missing: Sequence[_Shard]) -> dict[int, Done]:
        pool, by_number = self.fit.inputs.pool, {shard.number: shard for shard in missing}
        assert pool is not None
        out = {}
        for number, factors, history, seconds in pool.train(self.partition, list(by_number)):
            out[number] = self._keep(by_number[number], factors, history, seconds)
        self.fit.record.trained.sort()  # they arrived in order of completion
        return out

    def _train_here(self, shards: Sequence[_Shard]) -> dict[int, Done]:
        """Train adapters from the common initial factors, several in one batch, or update one."""
        fit, n_shards = self.fit, self.partition.n_shards
        trainer, update = ShardTrainer(fit.model, fit.show_progress), fit.inputs.shard_update
        start = time.perf_counter()
        if update:
            (one,) = shards
            trained = [update.update(one.number, one.batches)]
            shards = [_Shard(one.number, one.batches, update.key(one.key))]
        elif len(shards) == 1:
            trained = [trainer.fit(shards[0].number, n_shards, shards[0].batches, fit.log)]
        else:
            numbers, batches = [s.number for s in shards], [s.batches for s in shards]
            trained = trainer.fit_together(numbers, n_shards, batches, fit.log)
        per_sample = (time.perf_counter() - start) / sum(len(s.batches.samples) for s in shards)
        return {
            shard.number: self._keep(shard, *found, per_sample * len(shard.batches.samples))
            for shard, found in zip(shards, trained, strict=True)
        }

    def _keep(self, shard: _Shard, factors: Factors, history: ShardHistory, seconds: float) -> Done:
        """Log a finished shard, and keep it in the store."""
        self.fit.record.trained.append(shard.number)
        losses = ", ".join(f"{loss:.4f}" for loss in history.epoch_losses)
        getLogger().info(
            set_color(f"shard {shard.number + 1}/{self.partition.n_shards} training", "green")
            + f" [samples: {len(shard.batches.samples)}, time: {seconds:.1f}s, train loss per epoch: {losses}]"
        )
        if self.fit.store:
            about = peft_description(self.fit.model)
            self.fit.store.save_shard(shard.number, factors, about, history, shard.key, seconds)
        told: Any = {"train_seconds": seconds, **vars(history)}
        return factors, told


def peft_description(model: APA) -> PeftDescription:
    """The description for ``adapter_config.json``."""
    settings = model.settings
    return PeftDescription(settings.backbone.backbone, settings.adapters, model.engine.decoder.upper_layers())
