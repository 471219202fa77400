"""From samples to a trained state: embed, partition, train, score the memory. The same path for the first training, for
unlearning (which reuses what the preceding state shows to be unaffected) and for retraining from scratch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from recbole_apa.adapters.aggregation import Memory
from recbole_apa.core.places import Place, Places
from recbole_apa.data.dataloader import ShardingDataLoader
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.forgotten import Digester
from recbole_apa.data.loaders import part_of
from recbole_apa.data.samples import Sample
from recbole_apa.data.sent_samples import SentSamples, samples_to_send
from recbole_apa.data.splits import SPLITS
from recbole_apa.model.contracts import WorkerPool
from recbole_apa.model.embed_samples import embed_training_samples
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.lineage import lineage_of
from recbole_apa.model.make_partition import make_partition
from recbole_apa.model.train_shards import ShardBuilder
from recbole_apa.model.validation_memory import fill_memory
from recbole_apa.partition import Partition
from recbole_apa.runs.slice_order import slice_word
from recbole_apa.runs.store import RunStore


@dataclass(frozen=True)
class TrainedState:
    """The result of training. The adapters are in the model's bank."""

    embeddings: Tensor
    """h of the training samples, (n, d)."""
    partition: Partition
    memory: Memory
    active: Tensor
    """Which shards have an adapter, (k,), bool."""
    places: Places = field(default_factory=Places)
    """When each training sample is trained."""
    prefixes: Mapping[int, Place] = field(default_factory=dict)
    """Shard -> the first place that its adapter lacks."""
    moved: Collection[int] = ()
    """Shards whose adapters an approximate method moved."""

    def lineage(self, splits: Mapping[str, Sequence[Sample]], kept: Collection[str]) -> dict[str, dict[str, str]]:
        """Which samples each of its files saw; see :func:`~recbole_apa.model.lineage.lineage_of`."""
        return lineage_of(self.partition, splits, kept, self.places, self.prefixes, self.moved)


def fit_state(fit: FitContext, train_data: ShardingDataLoader, valid_set: APADataset) -> TrainedState:
    """Make the partition, the adapters and the memory; each part is stored as soon as it is finished."""
    pool = fit.inputs.pool
    try:
        if pool:
            pool.see(_sent(part_of(train_data), valid_set, pool))
        return _fit(fit, train_data, valid_set)
    finally:
        if pool:
            pool.close()


def _fit(fit: FitContext, train_data: ShardingDataLoader, valid_set: APADataset) -> TrainedState:
    train_set = part_of(train_data)
    embeddings = embed_training_samples(fit, train_set)
    partition = make_partition(fit, train_set, embeddings)
    adapters = ShardBuilder(fit, train_data, partition).adapters()
    fit.model.set_adapters(adapters)
    active = torch.tensor([a is not None for a in adapters])
    pieces = {name: piece for name in partition.shard_of if (piece := fit.inputs.pieces.get(name, 0))}
    if fit.store:
        fit.store.save_pieces(pieces)
        fit.store.save_prefixes(fit.record.prefixes)
        _save_order(fit.store, fit, train_set)
    memory = fill_memory(fit, valid_set, active)
    found = fit.record
    return TrainedState(embeddings, partition, memory, active, fit.places, found.prefixes, found.moved)


def _save_order(store: RunStore, fit: FitContext, train_set: APADataset) -> None:
    """Keep which slice listed users are in, of those whose rows the run may see."""
    listed, key = fit.inputs.listed, fit.inputs.key
    if listed is None or key is None:  # without a key nothing may be written that names people
        return
    digester = Digester(store.salt, key)
    users = train_set.run_data.raw.users.compact().names
    store.save_slice_order({slice_word(digester, u): cut for u in users if (cut := listed(u)) is not None})


def _sent(train_set: APADataset, valid_set: APADataset, pool: WorkerPool) -> SentSamples:
    """What workers need of the data: samples for training, and those of the memory if they compute it as well."""
    parts = (train_set, valid_set) if pool.embeds else (train_set,)
    samples = {name: part.samples for name, part in zip(SPLITS, parts, strict=False)}
    return samples_to_send(samples, train_set.run_data.texts.text_of)
