"""From samples to a trained state: partition, adapters, memory. The same road for a first training, for
unlearning (which takes over what a former state proves to be unaffected) and for training again from scratch."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any, Protocol

import torch
from recbole.utils import set_color
from torch import Tensor

from recbole_apa.adapters.aggregation import Memory
from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.peft_files import PeftDescription
from recbole_apa.adapters.training import ShardHistory
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.progress import progress
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.dataloader import ShardBatches, ShardingDataLoader
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.model.apa import APA
from recbole_apa.model.shard_trainer import ShardTrainer
from recbole_apa.partition import (
    PARTITIONERS,
    Collaborative,
    Partition,
    Partitioner,
    SemanticPartitioner,
    check_partition,
)
from recbole_apa.partition.assignment import shard_count
from recbole_apa.partition.inherited import complete
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.runs.store import EMBEDDINGS, MEMORY, METRICS, PARTITION, STATES, RunStore


class ShardUpdate(Protocol):
    """What moves a trained adapter instead of training it again."""

    def key(self, exact: str) -> str:
        """What the record of a moved shard is known by, given what a trained one's would be."""
        ...

    def update(self, shard: int, batches: ShardBatches) -> tuple[Factors, ShardHistory]:
        """The moved adapter of a shard."""
        ...


class WorkerPool(Protocol):
    """Workers that do parts of a training: :mod:`recbole_apa.pipeline.workers`."""

    is_elsewhere: bool
    """Whether they are no processes of this machine: then even a single shard is theirs."""
    embeds: bool
    """Whether frozen passes and scores are theirs, too."""

    def see(self, visible_data: VisibleData) -> None:
        """What they may see of the dataset."""
        ...

    def train(self, partition: Partition, shards: Sequence[int]) -> Iterator[tuple[int, Factors, ShardHistory, float]]:
        """Train shards: each as it is done, with the seconds that it took."""
        ...

    def embed(self, split: str, rows: Sequence[int], step: int, title: str) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Embeddings of some samples of a split: rows, and theirs, (n, d)."""
        ...

    def score(
        self, split: str, rows: Sequence[int], which: Sequence[int], adapters: Sequence[Factors | None], step: int
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Scores of some samples of a split by adapters alone: rows, and theirs, (n, len(which))."""
        ...

    def close(self) -> None:
        """End all workers."""
        ...


@dataclass
class FitRecord:
    """What training left behind, for the report: figures, not state."""

    sizes: list[int] = field(default_factory=list)
    shards: list[dict[str, Any]] = field(default_factory=list)
    trained: list[int] = field(default_factory=list)
    """Shards that were trained now."""
    taken_over: list[int] = field(default_factory=list)
    """Shards whose adapters are those of the former state."""
    seconds: dict[str, float] = field(default_factory=dict)
    tau: float = 0.0
    n_neighbors: int = 0
    n_cut_prompts: int = 0
    n_cut_lines: int = 0

    def add_seconds(self, name: str, start: float) -> None:
        """Add the time since ``start`` (``time.perf_counter``)."""
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start


class StateBuilder:
    """Builds one trained state.

    Args:
        store: where finished parts are kept as soon as they are; None keeps nothing.
        reuse: the state that this one follows; what it proves to be unaffected is not computed again.
        log: takes (name, value, step) of training losses.
        collaborative: (partition, training dataset) -> what the partitions of users and items look at.
        shard_update: updates the adapters of affected shards; None trains them again.
        pool: workers that share the work; None does all of it here.
    """

    def __init__(
        self,
        model: APA,
        record: FitRecord,
        store: RunStore | None,
        reuse: ReusableState | None,
        log: Callable[..., None],
        show_progress: bool,
        collaborative: Callable[[str, Any], Collaborative] | None = None,
        shard_update: ShardUpdate | None = None,
        pool: WorkerPool | None = None,
    ) -> None:
        self.collaborative, self.shard_update, self.pool = collaborative, shard_update, pool
        self.model, self.record, self.store, self.reuse = model, record, store, reuse
        self.log, self.show_progress = log, show_progress

    def embed(self, dataset: Any, split: str, title: str) -> Tensor:
        """Frozen passes of a split's samples: h, (n, d)."""
        start = time.perf_counter()
        prompts = self.model.prompts(dataset.labelled)
        self._count_cuts(prompts)
        known = [self.reuse.embedding(s) if self.reuse else None for s in dataset.samples]
        missing = [i for i, h in enumerate(known) if h is None]
        for chunk, embeddings in self._embeddings(split, prompts, missing, title):
            for i, h in zip(chunk, embeddings, strict=True):
                known[i] = h
        self.record.add_seconds("read_prompts_seconds", start)
        found = [h for h in known if h is not None]
        return torch.stack(found) if found else self.model.engine.embeddings([])

    def _embeddings(
        self, split: str, prompts: Sequence[TokenizedPrompt], rows: Sequence[int], title: str
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        engine, size = self.model.engine, self.model.engine.step_size
        if self.pool and self.pool.embeds:
            yield from self.pool.embed(split, rows, size, title)
            return
        for begin in progress(range(0, len(rows), size), title, self.show_progress):
            chunk = rows[begin : begin + size]
            yield chunk, engine.embeddings([prompts[i] for i in chunk])

    def embed_training(self, dataset: Any) -> Tensor:
        """Embeddings of the training samples, kept in the store in order of sample id."""
        order = sample_order(dataset.samples)
        kept = self.store.load_embeddings() if self.store and self.store.has(EMBEDDINGS) else None
        if kept is not None and len(kept) == len(order):
            self._count_cuts(self.model.prompts(dataset.labelled))
            out = torch.empty_like(kept)
            out[order] = kept
            return out
        embeddings = self.embed(dataset, SPLITS[0], "Read training prompts")
        if self.store:
            self.store.save_embeddings(embeddings[order])
        return embeddings

    def make_partition(self, dataset: Any, embeddings: Tensor) -> Partition:
        """The partition that the store holds, or a new one (paper, Algorithm 1)."""
        start = time.perf_counter()
        kept = self.store.load_partition() if self.store else None
        names = [s.sample_id for s in dataset.samples]
        partition = complete(kept, names, embeddings) if kept else self._new_partition(dataset, embeddings)
        if self.store and partition is not kept:
            self.store.save_partition(partition)
        self.record.sizes = partition.sizes()
        self.record.add_seconds("partition_seconds", start)
        empty = self.record.sizes.count(0)
        if empty:
            getLogger().warning(f"{empty} of {partition.n_shards} shards are empty and will not vote")
        getLogger().info(set_color("shards", "pink") + f": {partition.n_shards}, samples in each: {self.record.sizes}")
        return partition

    def train(self, train_data: ShardingDataLoader, partition: Partition) -> list[Factors | None]:
        """One adapter for each shard; None for an empty one."""
        start = time.perf_counter()
        full = [k for k, n in enumerate(partition.sizes()) if n]
        known = {k: self._known_shard(k, self._batches(train_data, partition, k)[1]) for k in full}
        missing = [k for k in full if known[k] is None]
        if self.pool and self.shard_update is None and (len(missing) > 1 or (missing and self.pool.is_elsewhere)):
            for shard, factors, history, seconds in self.pool.train(partition, missing):
                batches, key = self._batches(train_data, partition, shard)
                known[shard] = self._keep(shard, partition, batches, key, factors, history, seconds)
            self.record.trained.sort()  # they came as they were done
        else:
            size = 1 if self.shard_update else self.model.settings.training.fused_shards
            for begin in range(0, len(missing), size):
                known |= self.train_shards(train_data, partition, missing[begin : begin + size])
        adapters: list[Factors | None] = []
        for shard in range(partition.n_shards):
            done = known.get(shard)
            adapters.append(done and done[0])
            self.record.shards.append(done[1] if done else {})
        if missing:
            self.record.add_seconds("train_shards_seconds", start)
        return adapters

    def train_shards(
        self, train_data: ShardingDataLoader, partition: Partition, shards: Sequence[int]
    ) -> dict[int, tuple[Factors, dict[str, Any]]]:
        """Train adapters from the common start, several in one batch, and keep them in the store."""
        found = [self._batches(train_data, partition, shard) for shard in shards]
        batches = [batch for batch, _ in found]
        trainer = ShardTrainer(self.model, self.show_progress)
        start = time.perf_counter()
        if self.shard_update:
            trained = [self.shard_update.update(shards[0], batches[0])]
            found = [(batches[0], self.shard_update.key(found[0][1]))]
        elif len(shards) == 1:
            self.model.engine.bank.resize(1)
            trained = [trainer.fit(shards[0], partition.n_shards, batches[0], self.log)]
        else:
            trained = trainer.fit_together(shards, partition.n_shards, batches, self.log)
        per_sample = (time.perf_counter() - start) / sum(len(b.samples) for b in batches)
        return {
            shard: self._keep(shard, partition, batch, key, factors, history, per_sample * len(batch.samples))
            for shard, (batch, key), (factors, history) in zip(shards, found, trained, strict=True)
        }

    def _keep(
        self,
        shard: int,
        partition: Partition,
        batches: ShardBatches,
        key: str,
        factors: Factors,
        history: ShardHistory,
        seconds: float,
    ) -> tuple[Factors, dict[str, Any]]:
        """Log a shard that is done, and keep it in the store."""
        self.record.trained.append(shard)
        losses = ", ".join(f"{loss:.4f}" for loss in history.epoch_losses)
        getLogger().info(
            set_color(f"shard {shard + 1}/{partition.n_shards} training", "green")
            + f" [samples: {len(batches.samples)}, time: {seconds:.1f}s, train loss per epoch: {losses}]"
        )
        if self.store:
            self.store.save_shard(shard, factors, self.peft_description(), history, key, seconds)
        return factors, {"train_seconds": seconds, **vars(history)}

    def _batches(self, train_data: ShardingDataLoader, partition: Partition, shard: int) -> tuple[ShardBatches, str]:
        """A shard's batches, and the key that changes with its samples."""
        settings = self.model.settings
        batches = train_data.shard(partition.members(shard), settings.training.train_batch_size, settings.seed)
        return batches, shard_key(shard, batches.samples)

    def fill_memory(self, dataset: Any, active: Tensor) -> Memory:
        """Embeddings and each adapter's scores of the validation samples, in order of sample id. The adapters are
        in the model's bank."""
        embeddings = self.embed(dataset, SPLITS[1], "Read validation prompts")
        start = time.perf_counter()
        order = sample_order(dataset.samples)
        prompts = self.model.prompts(dataset.labelled)
        scores = torch.zeros(len(order), len(active))
        kept = self.record.taken_over
        for place, row in enumerate(order):
            before = self.reuse.scores(dataset.samples[row]) if self.reuse else None
            if before is not None:
                scores[place, kept] = before[kept]
        unknown = self._unknown(dataset.samples, order, active)
        if self.pool and self.pool.embeds:
            self._score_elsewhere(scores, order, unknown, active)
        else:
            self._score(scores, [prompts[i] for i in order], unknown)
        labels = torch.tensor([dataset.samples[i].label for i in order], dtype=torch.float32)
        users = number_users([dataset.samples[i].user_id for i in order])
        self.record.add_seconds("memory_seconds", start)
        return Memory(embeddings[order], scores, labels, users)

    def _unknown(self, samples: Sequence[Sample], order: Sequence[int], active: Tensor) -> list[list[int]]:
        """Adapters that each memory row has to be scored with."""
        voting = active.nonzero().flatten().tolist()
        fresh = [k for k in voting if k not in self.record.taken_over]
        same = [self.reuse is not None and self.reuse.scores(samples[row]) is not None for row in order]
        return [fresh if known else voting for known in same]

    def _score(self, scores: Tensor, prompts: Sequence[TokenizedPrompt], which: Sequence[Sequence[int]]) -> None:
        """Fill in the scores asked for: (v, k), in place."""
        if not prompts:
            return
        size = self.model.engine.step_size
        for begin in progress(range(0, len(prompts), size), "Score validation samples", self.show_progress):
            rows = range(begin, min(begin + size, len(prompts)))
            for ks in {tuple(which[i]) for i in rows if which[i]}:
                group = [i for i in rows if tuple(which[i]) == ks]
                found = self.model.engine.adapter_scores([prompts[i] for i in group], ks)
                scores[torch.tensor(group)[:, None], torch.tensor(ks)] = found

    def _score_elsewhere(
        self, scores: Tensor, order: Sequence[int], which: Sequence[Sequence[int]], active: Tensor
    ) -> None:
        """The same by workers; rows of ``scores`` are in ``order``."""
        assert self.pool is not None
        bank, place = self.model.engine.bank, {row: i for i, row in enumerate(order)}
        adapters = [bank.extract(k) if on else None for k, on in enumerate(active.tolist())]
        for ks in dict.fromkeys(tuple(w) for w in which if w):
            rows = [row for row, w in zip(order, which, strict=True) if tuple(w) == ks]
            for part, found in self.pool.score(SPLITS[1], rows, ks, adapters, self.model.engine.step_size):
                for row, values in zip(part, found, strict=True):
                    scores[place[row], list(ks)] = values

    def _known_shard(self, shard: int, key: str) -> tuple[Factors, dict[str, Any]] | None:
        """A shard that this training finished before it was interrupted, or that the former state has unaffected."""
        if self.store is None:
            return None
        # an approximate request leaves alone what an earlier one moved
        or_moved = self.shard_update is not None
        done = self.store.finished_shard(shard, key, or_moved)
        if done is None and self.store.base and self.reuse:
            done = self.store.base.finished_shard(shard, key, or_moved)
            if done is not None:
                self.record.taken_over.append(shard)
        elif done is not None:
            getLogger().info(f"shard {shard + 1} is on disk already, not trained again")
        return done

    def _new_partition(self, dataset: Any, embeddings: Tensor) -> Partition:
        settings = self.model.settings.partition
        ids = [s.sample_id for s in dataset.samples]
        n_shards = shard_count(len(ids), settings.n_shards, settings.shard_size)
        capacity = settings.shard_capacity or -(-len(ids) // n_shards)
        partition = self._partitioner(dataset)(ids, embeddings, n_shards, capacity, self.model.settings.seed)
        return check_partition(partition, ids, n_shards)

    def _partitioner(self, dataset: Any) -> Partitioner:
        settings = self.model.settings.partition
        if settings.partition_fit == "items":
            return SemanticPartitioner(self.model.item_embeddings())
        partitioner = PARTITIONERS.find(settings.partition)
        if not partitioner.needs_collaborative:
            return partitioner.made_with(None)
        if self.collaborative is None:
            raise SettingsError(
                f"partition: {settings.partition} needs a collaborative model; train with recbole_apa.run, or take the "
                "trainer from recbole_apa.pipeline.trainer_factory.make_trainer"
            )
        return partitioner.made_with(self.collaborative(settings.partition, dataset))

    def _count_cuts(self, prompts: Sequence[TokenizedPrompt]) -> None:
        n_cut, n_lines = sum(p.n_cut > 0 for p in prompts), sum(p.n_cut for p in prompts)
        if n_cut:
            limit = self.model.settings.prompts.max_prompt_tokens
            getLogger().info(
                f"{n_cut} of {len(prompts)} prompts lost {n_lines} of their oldest lines to fit {limit} tokens"
            )
        self.record.n_cut_prompts += n_cut
        self.record.n_cut_lines += n_lines

    def peft_description(self) -> PeftDescription:
        """What ``adapter_config.json`` says."""
        s = self.model.settings
        return PeftDescription(s.backbone.backbone, s.adapters, self.model.engine.decoder.upper_layers())


def lineage_of(
    partition: Partition, splits: Mapping[str, Sequence[Sample]], with_states: bool
) -> dict[str, dict[str, str]]:
    """Artefact -> sample id -> digest of what the artefact saw of it. Figures and report see all of these.

    Args:
        with_states: whether the run keeps frozen states.
    """
    train, valid, test = ({s.sample_id: s.digest() for s in splits[name]} for name in SPLITS)
    seen = {f"shards/{k:03d}": {name: train[name] for name in partition.members(k)} for k in range(partition.n_shards)}
    if with_states:
        seen[STATES] = {**train, **valid}
    return {**seen, PARTITION: train, EMBEDDINGS: train, MEMORY: valid, METRICS: test}


def sample_order(samples: Sequence[Sample]) -> list[int]:
    """Positions in order of sample id: the order of the rows in a run's files."""
    return sorted(range(len(samples)), key=lambda i: samples[i].sample_id)


def number_users(user_ids: Sequence[str]) -> Tensor:
    """0, 1, 2, ... in order of first appearance, (n,), int64."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(user, len(numbers)) for user in user_ids], dtype=torch.int64)


def shard_key(shard: int, samples: Sequence[Sample]) -> str:
    """Changes when the shard's samples, or what they say, change."""
    return digest_of(shard, *sorted(s.digest() for s in samples)).hex()
