"""Shards trained in pieces, without the rest of a run."""

from dataclasses import replace

import torch

from recbole_apa.adapters.training import ShardHistory
from recbole_apa.core.files.whole import file_digest, read_json
from recbole_apa.core.places import FIRST
from recbole_apa.core.seeding import generator_for
from recbole_apa.model.contracts import FitInputs
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.shard_trainer import NEW, ShardTrainer, Trained
from recbole_apa.model.train_shards import ShardBuilder
from recbole_apa.partition import Partition
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.runs.names import EMBEDDINGS, LINEAGE, MEMORY, PARTITION, PIECES
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.runs.store import RunStore

EPOCHS, DECAY, WARMUP = 3, 0.01, 0.2
"""Of the trainings in the tests of pieces."""


def build_shards(ready, folder, places, base=None, **inputs):
    """Train the adapters of some samples, and return the builder's context.

    Args:
        ready: model and training loader.
        places: sample id -> shard and piece.
        base: the folder of the preceding state.
        inputs: of the training, instead of those that follow from the others.
    """
    model, loader = ready
    model.engine.bank.resize(1)
    partition = Partition({name: shard for name, (shard, _) in places.items()}, torch.zeros(3, 1))
    pieces = {name: piece for name, (_, piece) in places.items() if piece}
    store = folder and RunStore(folder, base and RunStore(base))
    fit = FitContext(model, store=store, inputs=FitInputs(**{"pieces": pieces, "reuse": base, **inputs}))
    adapters = ShardBuilder(fit, loader, partition).adapters()
    return fit, adapters


def shard_files(folder, base=None):
    """Every file below ``shards/`` without its time; shards that the folder lacks are those of the base."""
    out = {}
    for state in (base, folder):
        for shard in sorted((state / "shards").glob("*")) if state else []:
            out[shard.name] = {
                path.relative_to(shard).as_posix(): _content(path)
                for path in sorted(shard.rglob("*"))
                if path.is_file()
            }
    return {f"{shard}/{name}": found for shard, files in out.items() for name, found in files.items()}


def _content(path):
    """A file's digest, or a training record without its time."""
    if path.name != "training.json":
        return file_digest(path)
    return {k: v for k, v in read_json(path).items() if k != "train_seconds"}


def count_training(patch):
    """(shard, piece) of every training from now on; (shard, place) of later slices."""
    seen, real = [], ShardTrainer.fit

    def fit(self, shard, n_shards, batches, log, start=NEW, place=FIRST):
        seen.append((shard, place if place.cut else place.piece))
        return real(self, shard, n_shards, batches, log, start, place)

    patch.setattr(ShardTrainer, "fit", fit)
    return seen


def pretend_training(patch):
    """Replace training by numbers drawn for where it starts, the piece, and its samples; see :func:`count_training`."""

    def fit(self, shard, n_shards, batches, log, start=NEW, place=FIRST):
        first = start.factors or self.model.engine.bank.start(1)
        told = [file.numpy().tobytes().hex() for parts in first.values() for file in parts]
        draw = generator_for(1, *told, shard, place.piece, *sorted(s.digest() for s in batches.samples))
        made = {n: tuple(torch.randn(p.shape, generator=draw) for p in parts) for n, parts in first.items()}
        return Trained(made, ShardHistory([0.5], [0.5]))

    patch.setattr(ShardTrainer, "fit", fit)
    return count_training(patch)


def grow_by(patch, pieces):
    """Let runs be trained in these pieces: sample id -> piece."""
    from recbole_apa.pipeline import quick_start

    real = quick_start.make_trainer

    def make(config, model, store, inputs):
        return real(config, model, store, replace(inputs, pieces=pieces))

    patch.setattr(quick_start, "make_trainer", make)


def train_in_pieces(ready, folder, data, pieces, base=None, partition=None):
    """Train a state of a run, and return its trainer.

    Args:
        ready: configuration and model.
        data: the loaders.
        pieces: sample id -> piece.
        base: the folder of the preceding state, of which everything is taken over that still holds.
        partition: what is stored before the training begins.
    """
    config, model = ready
    model.use_dataset(data.train_set)
    store = RunStore(folder, base and RunStore(base))
    reuse = ReusableState(RunStore(base)) if base else model.engine.keep_only([])
    inputs = FitInputs(pieces=pieces, reuse=reuse, writes_index=False, writes_board=False)
    trainer = make_trainer(config, model, store, inputs)
    if partition:
        store.begin(trainer.identity(data.train_set, store.salt), {})
        store.save_partition(partition)
    trainer.fit(data.train, data.valid)
    return trainer


def trained_files(folder, base=None):
    """The files of a trained state by name, with their digests or, where they have times, contents."""
    names = (PARTITION, "partition.safetensors", PIECES, EMBEDDINGS, MEMORY, LINEAGE)
    there = {name: file_digest(folder / name) for name in names if (folder / name).is_file()}
    return {**there, **shard_files(folder, base), "chosen": RunStore(folder).manifest()["chosen"]}
