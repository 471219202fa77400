"""One adapter for each shard: reused, found on disk, trained here or by workers, or updated."""

import time
from collections.abc import Collection, Sequence
from itertools import takewhile
from logging import getLogger

from recbole.utils import set_color

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.peft_files import PeftDescription
from recbole_apa.core.errors import SettingsError
from recbole_apa.data.dataloader import ShardBatches, ShardingDataLoader
from recbole_apa.model.apa import APA
from recbole_apa.model.contracts import ShardUpdate, ToTrain
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.lineage import chain_of
from recbole_apa.model.shard_chain import ShardChain, ShardPlace
from recbole_apa.model.shard_trainer import ShardTrainer, Start, Trained
from recbole_apa.partition import Partition
from recbole_apa.runs.manifest import ShardRecord
from recbole_apa.runs.names import point_name
from recbole_apa.runs.points import ShardPoints
from recbole_apa.runs.shard_files import is_moved, record_of
from recbole_apa.runs.store import RunStore


class ShardBuilder:
    """Builds the adapters of one partition.

    A shard is trained place by place, each from the adapter that the one before it left. As long as the first places of
    a shard are what they were, their adapters are taken from the store or from the preceding state.

    Args:
        train_data: RecBole's loader of the training samples.
    """

    def __init__(self, fit: FitContext, train_data: ShardingDataLoader, partition: Partition) -> None:
        self.fit, self.train_data, self.partition = fit, train_data, partition

    def adapters(self) -> list[Factors | None]:
        """One adapter for each shard; None for an empty one, and for one of which nothing may be served yet.

        Raises:
            SettingsError: an approximate method for a shard that has grown.
        """
        start, fit = time.perf_counter(), self.fit
        chains = {k: self._chain(k) for k, n in enumerate(self.partition.sizes()) if n}
        self._say_slices(chains.values())
        for chain in chains.values():
            self._take_over(chain)
        n_before = {k: self._n_before(chain) for k, chain in chains.items()}
        missing = [chain for chain in chains.values() if not chain.is_done]
        n_missing = len(missing)
        if fit.inputs.shard_update and any(chain.places[-1].place.piece for chain in missing):
            raise SettingsError(
                "unlearn_method: found an approximate method for a shard that was trained in several pieces, as the "
                "run has grown; expected exact"
            )
        if update := fit.inputs.shard_update:
            for chain in missing:
                self._move(chain, update)
            missing = []
        while missing:  # the next place of each, in every round
            self._train(missing)
            missing = [chain for chain in missing if not chain.is_done]
        fit.record.n_chained = {k: len(chain.places) for k, chain in chains.items()}
        fit.record.n_served = {k: chain.n_done for k, chain in chains.items()}
        fit.record.n_new = {k: self._n_new(chain, n_before[k]) for k, chain in chains.items()}
        fit.record.prefixes = {k: chain.next.place for k, chain in chains.items() if not chain.is_whole}
        fit.record.moved = [k for k, chain in chains.items() if chain.is_moved]
        fit.record.shards += [(k in chains and chains[k].record) or {} for k in range(self.partition.n_shards)]
        if n_missing:
            fit.record.add_seconds("train_shards_seconds", start)
        return [chains[k].adapter if k in chains else None for k in range(self.partition.n_shards)]

    def _say_slices(self, chains: Collection[ShardChain]) -> None:
        """Log how uneven the slices of shards are; those that samples joined later are not looked at."""
        n = self.fit.places.slices.n
        if n == 1:
            return
        sizes = [len(one.batches.samples) for chain in chains for one in chain.places if not one.place.piece]
        n_empty = n * sum(not chain.places[0].place.piece for chain in chains) - len(sizes)
        if sizes:
            mean = sum(sizes) / (len(sizes) + n_empty)
            getLogger().info(
                set_color("slices of each shard", "pink")
                + f": {n}, samples in each: {min(sizes)} to {max(sizes)}, {mean:.1f} on average, {n_empty} are empty"
            )

    def _chain(self, shard: int) -> ShardChain:
        whole = self._batches(self.partition.members(shard))
        chain = chain_of(shard, whole.samples, self.fit.places)
        parts = [self._batches([s.sample_id for s in piece.samples]) for piece in chain] if len(chain) > 1 else [whole]
        places = [ShardPlace(piece.place, part, piece.key) for piece, part in zip(chain, parts, strict=True)]
        return ShardChain(shard, places, self.fit.inputs.prefixes.get(shard))

    def _batches(self, members: Sequence[str]) -> ShardBatches:
        settings = self.fit.model.settings
        return self.train_data.shard(members, settings.training.train_batch_size, settings.seed)

    def _take_over(self, chain: ShardChain) -> None:
        """Take what is there already: the whole shard, or the longest run of its first places."""
        ends_early = chain.end is not None and chain.places[-1].place >= chain.end
        if (not ends_early and self._take_whole(chain)) or self.fit.inputs.shard_update:
            return
        for i, one in enumerate(chain.places):
            found = self._place(chain, i)
            if found is None or (chain.end is not None and one.place >= chain.end):
                break
            chain.took(found[0].shard_record(chain.shard, found[1]))
            state, point, chain.n_done = *found, i + 1
        if self.fit.inputs.serves_prefixes and not chain.is_whole:
            chain.end = chain.next.place
        if not chain.n_done:
            return
        loaded = state.load_shard(chain.shard, point)
        assert loaded is not None
        goes_on = chain.goes_on(chain.n_done - 1)
        chain.start = Start(loaded[0], state.load_moments(chain.shard, point, loaded[0]) if goes_on else None)
        if chain.is_done:
            assert self.fit.store is not None
            if state is self.fit.store.base and not point:
                self.fit.record.as_served.append(chain.shard)
            self._keep_points(chain)
            ShardPoints(self.fit.store, chain.shard).serve(state.shard_folder(chain.shard, point), goes_on)
        name = f"shard {chain.shard + 1}/{self.partition.n_shards}"
        getLogger().info(f"{name}: {chain.n_done} of the {len(chain.places)} parts it is trained in are as they were")

    def _take_whole(self, chain: ShardChain) -> bool:
        """A shard finished before an interruption of this training, or unaffected in the preceding state."""
        store, inputs, key = self.fit.store, self.fit.inputs, chain.places[-1].key
        if store is None:
            return False
        # an approximate request does not touch what an earlier one updated
        or_moved = inputs.shard_update is not None
        state, done = store, store.finished_shard(chain.shard, key, or_moved)
        if done is None and store.base and inputs.reuse:
            state, done = store.base, store.base.finished_shard(chain.shard, key, or_moved)
            if done is not None:
                self.fit.record.taken_over.append(chain.shard)
                self.fit.record.as_served.append(chain.shard)
        elif done is not None:
            getLogger().info(f"shard {chain.shard + 1}/{self.partition.n_shards} is already on disk, not trained again")
        if done is None:
            return False
        if is_moved(done[1]):
            chain.moved(*done)
            return True
        for later in chain.places[1:]:
            chain.took(state.shard_record(chain.shard, point_name(*later.place)))
            chain.n_done += 1
        chain.took(done[1])
        chain.start, chain.n_done = Start(done[0]), len(chain.places)
        return True

    def _place(self, chain: ShardChain, i: int) -> tuple[RunStore, str] | None:
        """The state, and the point of the shard in it, where the adapter is that place ``i`` leaves."""
        store = self.fit.store
        base = store.base if store and self.fit.inputs.reuse else None
        for state in (store, base):
            if state is not None:
                point = ShardPoints(state, chain.shard).find(chain.places[i].key, chain.goes_on(i))
                if point is not None:
                    return state, point
        return None

    def _n_before(self, chain: ShardChain) -> int:
        """How many of its first places the preceding state has."""
        store = self.fit.store
        if chain.shard in self.fit.record.taken_over:
            return len(chain.places)
        if store is None or store.base is None or not self.fit.inputs.reuse:
            return 0
        points = ShardPoints(store.base, chain.shard)
        there = (points.find(one.key, chain.goes_on(i)) is not None for i, one in enumerate(chain.places))
        return sum(takewhile(bool, there))

    def _n_new(self, chain: ShardChain, n_before: int) -> int:
        """How many of the places behind the adapter the preceding state did not have; one that is moved now has none
        in common with it."""
        is_moved_now = chain.is_moved and chain.shard not in self.fit.record.taken_over
        return chain.n_done if is_moved_now else max(0, chain.n_done - n_before)

    def _keep_points(self, chain: ShardChain) -> None:
        """Leave, beside the shard, exactly the points before its places up to the next one to be trained."""
        if self.fit.store is None:
            return
        points, n_kept = {}, chain.n_done - chain.is_done  # where training ends, the served adapter is the last point
        for i in range(n_kept):
            place = self._place(chain, i)
            assert place is not None
            folder = place[0].shard_folder(chain.shard, place[1])
            points[point_name(*chain.places[i + 1].place)] = (folder, chain.goes_on(i))
        ShardPoints(self.fit.store, chain.shard).keep(points)

    def _train(self, chains: Sequence[ShardChain]) -> None:
        """Train the next place of each, here or elsewhere."""
        for chain in chains:
            self._keep_points(chain)
        if self._are_for_workers(chains):
            self._train_elsewhere(chains)
            return
        size = self.fit.model.settings.training.fused_shards
        for begin in range(0, len(chains), size):
            self._train_here(chains[begin : begin + size])

    def _are_for_workers(self, missing: Sequence[ShardChain]) -> bool:
        pool = self.fit.inputs.pool
        return pool is not None and (len(missing) > 1 or pool.is_elsewhere)

    def _train_elsewhere(self, chains: Sequence[ShardChain]) -> None:
        pool, by_shard = self.fit.inputs.pool, {chain.shard: chain for chain in chains}
        assert pool is not None
        asked = [
            ToTrain(c.shard, [s.sample_id for s in c.next.batches.samples], *c.start, c.next.place) for c in chains
        ]
        for shard, factors, history, moments, seconds in pool.train(self.partition.n_shards, asked):
            self._keep(by_shard[shard], Trained(factors, history, moments), seconds)
        self.fit.record.trained.sort()  # they arrived in order of completion

    def _train_here(self, chains: Sequence[ShardChain]) -> None:
        """Train the next place of several shards in one batch, or of one."""
        fit, n_shards = self.fit, self.partition.n_shards
        trainer = ShardTrainer(fit.model, fit.show_progress)
        start, places = time.perf_counter(), [chain.next for chain in chains]
        if len(chains) == 1:
            (one,), (place,) = chains, places
            trained = [trainer.fit(one.shard, n_shards, place.batches, fit.log, one.start, place.place)]
        else:
            shards, batches = [c.shard for c in chains], [p.batches for p in places]
            starts, which = [c.start for c in chains], [p.place for p in places]
            trained = trainer.fit_together(shards, n_shards, batches, fit.log, starts, which)
        per_sample = (time.perf_counter() - start) / sum(len(p.batches.samples) for p in places)
        for chain, found in zip(chains, trained, strict=True):
            self._keep(chain, found, per_sample * len(chain.next.batches.samples))

    def _keep(self, chain: ShardChain, found: Trained, seconds: float) -> None:
        """Log a finished place, and keep its adapter in the store."""
        one = chain.next
        self._log(chain.shard, one.place.text(), len(one.batches.samples), found, seconds)
        chain.trained(found, seconds)
        self._save(chain, found, record_of(found.history, one.key, seconds))

    def _move(self, chain: ShardChain, update: ShardUpdate) -> None:
        """Let an approximate method move the adapter of a shard; its restart points saw what is forgotten, or lead to
        what the adapter no longer is, and none stays."""
        start, batches = time.perf_counter(), self._batches(self.partition.members(chain.shard))
        found = Trained(*update.update(chain.shard, batches))
        seconds = time.perf_counter() - start
        self._log(chain.shard, "", len(batches.samples), found, seconds)
        record = record_of(found.history, update.key(chain.places[-1].key), seconds)
        chain.moved(found.factors, record)
        self._save(chain, found, record)

    def _log(self, shard: int, place: str, n_samples: int, found: Trained, seconds: float) -> None:
        """Count and log what was trained."""
        if shard not in self.fit.record.trained:
            self.fit.record.trained.append(shard)
        self.fit.record.n_places += 1
        losses = ", ".join(f"{loss:.4f}" for loss in found.history.epoch_losses)
        name = ", ".join(filter(None, (f"shard {shard + 1}/{self.partition.n_shards}", place)))
        getLogger().info(
            set_color(f"{name} training", "green")
            + f" [samples: {n_samples}, time: {seconds:.1f}s, train loss per epoch: {losses}]"
        )

    def _save(self, chain: ShardChain, found: Trained, record: ShardRecord) -> None:
        if self.fit.store:
            about, moments = peft_description(self.fit.model), chain.start.moments
            self.fit.store.save_shard(chain.shard, found.factors, about, record, moments)


def peft_description(model: APA) -> PeftDescription:
    """The description for ``adapter_config.json``."""
    settings = model.settings
    return PeftDescription(settings.backbone.backbone, settings.adapters, model.engine.decoder.upper_layers())
