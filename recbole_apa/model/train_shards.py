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
from recbole_apa.core.errors import SettingsError
from recbole_apa.data.dataloader import ShardBatches, ShardingDataLoader
from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import ToTrain
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.lineage import chain_of
from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.partition import Partition
from recbole_apa.runs.manifest import ShardRecord
from recbole_apa.runs.names import point_name
from recbole_apa.runs.points import ShardPoints
from recbole_apa.runs.store import RunStore

Done = tuple[Factors, ShardRecord]
"""An adapter, and the record of its training."""


@dataclass(frozen=True)
class _Piece:
    """A piece of a shard, to be trained after those before it."""

    shard: int
    number: int
    batches: ShardBatches
    key: str
    """A digest that changes with its samples and those before it."""


@dataclass
class _Chain:
    """The pieces of a shard, of which the first ``n_done`` have been trained."""

    shard: int
    pieces: Sequence[_Piece]
    n_done: int = 0
    done: Done | None = None
    """The adapter after those."""

    @property
    def next(self) -> _Piece:
        """The first piece that has not been trained."""
        return self.pieces[self.n_done]

    @property
    def start(self) -> Factors | None:
        """The adapter that it starts from; None for the common initial factors."""
        return self.done and self.done[0]

    @property
    def is_whole(self) -> bool:
        """Whether all have been trained."""
        return self.n_done == len(self.pieces)


class ShardBuilder:
    """Builds the adapters of one partition.

    A shard is trained piece by piece, each from the adapter that the one before it left. As long as the first pieces of
    a shard are what they were, their adapters are taken from the store or from the preceding state.

    Args:
        train_data: RecBole's loader of the training samples.
    """

    def __init__(self, fit: FitContext, train_data: ShardingDataLoader, partition: Partition) -> None:
        self.fit, self.train_data, self.partition = fit, train_data, partition

    def adapters(self) -> list[Factors | None]:
        """One adapter for each shard; None for an empty one.

        Raises:
            SettingsError: an approximate method for a shard of several pieces.
        """
        start, fit = time.perf_counter(), self.fit
        chains = {k: self._chain(k) for k, n in enumerate(self.partition.sizes()) if n}
        for chain in chains.values():
            self._take_over(chain)
        missing = [chain for chain in chains.values() if not chain.is_whole]
        n_missing = len(missing)
        if fit.inputs.shard_update and any(len(chain.pieces) > 1 for chain in missing):
            raise SettingsError(
                "unlearn_method: found an approximate method for a shard that was trained in several pieces, as the "
                "run has grown; expected exact"
            )
        while missing:  # the next piece of each, in every round
            self._train(missing)
            missing = [chain for chain in missing if not chain.is_whole]
        adapters: list[Factors | None] = []
        for k in range(self.partition.n_shards):
            done = chains[k].done if k in chains else None
            adapters.append(done and done[0])
            fit.record.shards.append(done[1] if done else {})
        if n_missing:
            fit.record.add_seconds("train_shards_seconds", start)
        return adapters

    def _chain(self, shard: int) -> _Chain:
        whole = self._batches(self.partition.members(shard))
        chain = chain_of(shard, whole.samples, self.fit.inputs.pieces)
        if len(chain) == 1:
            return _Chain(shard, [_Piece(shard, chain[0].number, whole, chain[0].key)])
        parts = [self._batches([s.sample_id for s in piece.samples]) for piece in chain]
        return _Chain(shard, [_Piece(shard, p.number, part, p.key) for p, part in zip(chain, parts, strict=True)])

    def _batches(self, members: Sequence[str]) -> ShardBatches:
        settings = self.fit.model.settings
        return self.train_data.shard(members, settings.training.train_batch_size, settings.seed)

    def _take_over(self, chain: _Chain) -> None:
        """Take what is there already: the whole shard, or the longest run of its first pieces."""
        chain.done = self._known(chain)
        if chain.done:
            chain.n_done = len(chain.pieces)
            return
        place = None
        for piece in chain.pieces:
            found = self._place(piece)
            if found is None:
                break
            place, chain.n_done = found, chain.n_done + 1
        if place is None:
            return
        store, point = place
        chain.done = store.load_shard(chain.shard, point)
        if chain.is_whole:
            assert self.fit.store is not None
            self._keep_points(chain)
            ShardPoints(self.fit.store, chain.shard).serve(store.shard_folder(chain.shard, point))
        getLogger().info(f"shard {chain.shard + 1}: {chain.n_done} of its {len(chain.pieces)} pieces are as they were")

    def _known(self, chain: _Chain) -> Done | None:
        """A shard finished before an interruption of this training, or unaffected in the preceding state."""
        store, inputs, key = self.fit.store, self.fit.inputs, chain.pieces[-1].key
        if store is None:
            return None
        # an approximate request does not touch what an earlier one updated
        or_moved = inputs.shard_update is not None
        done = store.finished_shard(chain.shard, key, or_moved)
        if done is None and store.base and inputs.reuse:
            done = store.base.finished_shard(chain.shard, key, or_moved)
            if done is not None:
                self.fit.record.taken_over.append(chain.shard)
        elif done is not None:
            getLogger().info(f"shard {chain.shard + 1} is already on disk, not trained again")
        return done

    def _place(self, piece: _Piece) -> tuple[RunStore, str] | None:
        """The state, and the point of the shard in it, where the adapter is that this piece leaves."""
        store = self.fit.store
        base = store.base if store and self.fit.inputs.reuse else None
        for state in (store, base):
            if state is not None:
                point = ShardPoints(state, piece.shard).find(piece.key)
                if point is not None:
                    return state, point
        return None

    def _keep_points(self, chain: _Chain) -> None:
        """Leave, beside the shard, exactly the points before the pieces up to the next one."""
        if self.fit.store is None:
            return
        points = {}
        for before, piece in zip(chain.pieces[: chain.n_done], chain.pieces[1:], strict=False):
            place = self._place(before)
            assert place is not None
            points[point_name(piece.number)] = place[0].shard_folder(chain.shard, place[1])
        ShardPoints(self.fit.store, chain.shard).keep(points)

    def _train(self, chains: Sequence[_Chain]) -> None:
        """Train the next piece of each, here or elsewhere."""
        for chain in chains:
            self._keep_points(chain)
        if self._are_for_workers(chains):
            self._train_elsewhere(chains)
            return
        size = 1 if self.fit.inputs.shard_update else self.fit.model.settings.training.fused_shards
        for begin in range(0, len(chains), size):
            self._train_here(chains[begin : begin + size])

    def _are_for_workers(self, missing: Sequence[_Chain]) -> bool:
        pool = self.fit.inputs.pool
        if pool is None or self.fit.inputs.shard_update:
            return False
        return len(missing) > 1 or pool.is_elsewhere

    def _train_elsewhere(self, chains: Sequence[_Chain]) -> None:
        pool, by_shard = self.fit.inputs.pool, {chain.shard: chain for chain in chains}
        assert pool is not None
        asked = [
            ToTrain(c.shard, [s.sample_id for s in c.next.batches.samples], c.start, c.next.number) for c in chains
        ]
        for shard, factors, history, seconds in pool.train(self.partition.n_shards, asked):
            self._keep(by_shard[shard], factors, history, seconds)
        self.fit.record.trained.sort()  # they arrived in order of completion

    def _train_here(self, chains: Sequence[_Chain]) -> None:
        """Train the next piece of several shards in one batch, or of one, or update one."""
        fit, n_shards = self.fit, self.partition.n_shards
        trainer, update = ShardTrainer(fit.model, fit.show_progress), fit.inputs.shard_update
        start, pieces = time.perf_counter(), [chain.next for chain in chains]
        if update:
            trained = [update.update(pieces[0].shard, pieces[0].batches)]
        elif len(chains) == 1:
            (one,), (piece,) = chains, pieces
            trained = [trainer.fit(one.shard, n_shards, piece.batches, fit.log, one.start, piece.number)]
        else:
            shards, batches = [c.shard for c in chains], [p.batches for p in pieces]
            starts, numbers = [c.start for c in chains], [p.number for p in pieces]
            trained = trainer.fit_together(shards, n_shards, batches, fit.log, starts, numbers)
        per_sample = (time.perf_counter() - start) / sum(len(p.batches.samples) for p in pieces)
        for chain, found in zip(chains, trained, strict=True):
            self._keep(chain, *found, per_sample * len(chain.next.batches.samples))

    def _keep(self, chain: _Chain, factors: Factors, history: ShardHistory, seconds: float) -> None:
        """Log a finished piece, and keep its adapter in the store."""
        piece, update = chain.next, self.fit.inputs.shard_update
        if chain.shard not in self.fit.record.trained:
            self.fit.record.trained.append(chain.shard)
        losses = ", ".join(f"{loss:.4f}" for loss in history.epoch_losses)
        name = f"shard {piece.shard + 1}/{self.partition.n_shards}" + (
            f", piece {piece.number}" if piece.number else ""
        )
        getLogger().info(
            set_color(f"{name} training", "green")
            + f" [samples: {len(piece.batches.samples)}, time: {seconds:.1f}s, train loss per epoch: {losses}]"
        )
        if self.fit.store:
            about, key = peft_description(self.fit.model), update.key(piece.key) if update else piece.key
            self.fit.store.save_shard(chain.shard, factors, about, history, key, seconds)
        told: Any = {"train_seconds": seconds, **vars(history)}
        chain.done, chain.n_done = (factors, told), chain.n_done + 1


def peft_description(model: APA) -> PeftDescription:
    """The description for ``adapter_config.json``."""
    settings = model.settings
    return PeftDescription(settings.backbone.backbone, settings.adapters, model.engine.decoder.upper_layers())
