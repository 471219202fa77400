"""The partition used in training (paper, Algorithm 1): the stored one, a new one, or one that a later piece extends."""

import time
from collections.abc import Sequence
from logging import getLogger

from recbole.utils import set_color
from torch import Tensor

from recbole_apa.core.errors import PartitionError, SettingsError
from recbole_apa.data.dataset import APADataset
from recbole_apa.model.fit_context import FitContext
from recbole_apa.partition import (
    PARTITIONERS,
    Partition,
    Partitioner,
    SemanticPartitioner,
    check_partition,
)
from recbole_apa.partition.assignment import shard_count
from recbole_apa.partition.check import check_users_whole
from recbole_apa.partition.growth import assign_added
from recbole_apa.partition.inherited import complete, with_own_centres


def make_partition(fit: FitContext, dataset: APADataset, embeddings: Tensor) -> Partition:
    """The stored partition, or a new one, which is then stored.

    A new partition divides the samples of the first piece; those of later pieces are then assigned one piece after the
    other, as when they were added. A stored one that lacks pieces gets these. With more pieces than one, or if the
    stored partition has no centres, the centres are the means of the shards' members.

    Args:
        embeddings: h of the training samples, (n, d).

    Raises:
        PartitionError: the samples cannot be divided, or a stored partition lacks some that are not of later pieces.
    """
    start, store = time.perf_counter(), fit.store
    kept = store.load_partition() if store else None
    partition = _partition(fit, dataset, embeddings, kept)
    if store and partition is not kept:
        store.save_partition(partition)
    fit.record.sizes = partition.sizes()
    fit.record.add_seconds("partition_seconds", start)
    empty = fit.record.sizes.count(0)
    if empty:
        getLogger().warning(f"{empty} of {partition.n_shards} shards are empty and will not vote")
    getLogger().info(set_color("shards", "pink") + f": {partition.n_shards}, samples in each: {fit.record.sizes}")
    return partition


def _partition(fit: FitContext, dataset: APADataset, embeddings: Tensor, kept: Partition | None) -> Partition:
    ids, pieces = [s.sample_id for s in dataset.samples], fit.inputs.pieces
    is_grown = any(pieces.get(name, 0) for name in ids)
    if not is_grown or (kept and kept.shard_of.keys() >= set(ids)):
        return complete(kept, ids, embeddings) if kept else _new_partition(fit, dataset, ids, embeddings)
    if kept is None:
        first = min(pieces.get(name, 0) for name in ids)
        rows = [row for row, name in enumerate(ids) if pieces.get(name, 0) == first]
        kept = _new_partition(fit, dataset, [ids[row] for row in rows], embeddings[rows])
    whole = PARTITIONERS[fit.model.settings.partition.partition].keeps_users_whole
    grown = assign_added(ids, [s.user_id for s in dataset.samples], embeddings, pieces, kept.assignment, whole)
    return with_own_centres(grown, ids, embeddings)


def _new_partition(fit: FitContext, dataset: APADataset, ids: Sequence[str], embeddings: Tensor) -> Partition:
    """The partition of some of the training samples by the option ``partition``."""
    settings = fit.model.settings.partition
    n_shards = shard_count(len(ids), settings.n_shards, settings.shard_size)
    capacity = settings.shard_capacity or -(-len(ids) // n_shards)
    partitioner, name = _partitioner(fit, dataset), settings.partition
    try:
        found = partitioner(ids, embeddings, n_shards, capacity, fit.model.settings.seed)
    except PartitionError as error:
        raise PartitionError(f"partition {name}: {error}") from error
    most = capacity if partitioner.takes_capacity and not partitioner.keeps_users_whole else None
    partition = check_partition(found, ids, n_shards, embeddings.shape[1], most, name)
    if partitioner.keeps_users_whole:
        check_users_whole(partition, {s.sample_id: s.user_id for s in dataset.samples}, name)
        _say_overshoot(partition, capacity)
    return partition


def _say_overshoot(partition: Partition, capacity: int) -> None:
    over = max(partition.sizes()) - capacity
    if over > 0:
        getLogger().info(f"the largest shard has {over} samples more than {capacity}: no user is divided")


def _partitioner(fit: FitContext, dataset: APADataset) -> Partitioner:
    settings, collaborative = fit.model.settings.partition, fit.inputs.collaborative
    if settings.partition_fit == "items":
        return SemanticPartitioner(fit.model.item_embeddings())
    partitioner = PARTITIONERS.find(settings.partition)
    if not partitioner.needs_collaborative:
        return partitioner.made_with(None)
    if collaborative is None:
        raise SettingsError(
            f"partition: {settings.partition} needs a collaborative model; train with recbole_apa.run, or get the "
            "trainer from recbole_apa.pipeline.trainer_factory.make_trainer"
        )
    return partitioner.made_with(collaborative(settings.partition, dataset, fit.store.folder if fit.store else None))
