"""``exactness: fresh``: repeat split and draw on what may still be seen, as a training today would."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from recbole_apa.core.errors import RequestError
from recbole_apa.core.ids import id_word
from recbole_apa.data.index.rows import IndexedRows
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence.exactness import FRESH
from recbole_apa.runs.manifest import Manifest, TrainingCost
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.plan import (
    ADDED,
    ARTEFACTS,
    DROPPED,
    LEFT_OUT,
    REDRAWN,
    TAKEN_IN,
    TOO_SHORT,
    Affected,
    Plan,
    estimate,
)

if TYPE_CHECKING:
    from recbole_apa.data.dataset import APADataset
    from recbole_apa.data.loaders import Loaders
    from recbole_apa.model.trainer import APATrainer
    from recbole_apa.partition import Partition
    from recbole_apa.pipeline.build import RunResult


def without_roles(visible_data: VisibleData) -> VisibleData:
    """The same rows, with no sample drawn yet."""
    return replace(visible_data, roles=None, cutoffs={})


def refuse_plain_ids(dataset: "APADataset") -> None:
    """A new training escapes special characters in ids, which runs before format 3 do not.

    Raises:
        RequestError: an id in such an older run contains one.
    """
    rows = dataset.raw_interactions
    if rows.plain_ids and any(
        id_word(name) != name for names in (rows.users.names, rows.items.names) for name in names
    ):
        raise RequestError(
            "exactness: found fresh on a run from before format 3 whose ids contain colons, # or %; expected strict, "
            "or a new training without those rows"
        )


def data_anew(dataset: "APADataset") -> "Loaders":
    """The loaders that a training today would get.

    Args:
        dataset: the training part of what the run may see.
    """
    from recbole_apa.pipeline.build_data import build_data

    made = dataset.run_data
    # no file has the rows that were added
    rows = IndexedRows(made.index_rows(), dataset.files, made.additions) if made.additions else None
    return build_data(dataset.config, without_roles(dataset.visible_data), indexed=rows)


def draw_differences(manifest: Manifest, store: RunStore, data: "Loaders") -> Iterator[str]:
    """Where a state's draw is not that of a training today, in words.

    Args:
        data: of :func:`data_anew`.
    """
    dataset, seen = data.train_set, store.lineage()
    if dict(dataset.cutoffs) != manifest["draw"]:
        yield "the draw's cutoffs are not those of a new draw"
    for split in SPLITS:
        now = {s.sample_id: s.digest() for s in dataset.splits[split]}
        n = len(now.items() ^ seen[ARTEFACTS[split]].items())
        if n:
            yield f"the {split} samples are not those of a new split and draw ({n} entries differ)"


def plan_anew(plan: Plan, lineage: Mapping[str, Mapping[str, str]], dataset: "APADataset", cost: TrainingCost) -> None:
    """Add to a plan what a new split and draw also change; any shard may turn out to differ.

    Args:
        lineage: artefact -> sample id -> digest, of the run before the request.
        dataset: without what is to be forgotten.
        cost: the manifest's ``full_training``.
    """
    by_split = {split: [a for a in plan.affected if a.split == split] for split in SPLITS}
    plan.affected = [a for s in SPLITS for a in _redrawn(by_split[s], s, lineage[ARTEFACTS[s]], dataset)]
    plan.retrain_all()
    estimate(plan, cost)


def _redrawn(found: Sequence[Affected], split: str, before: Mapping[str, str], dataset: "APADataset") -> list[Affected]:
    """For one split: samples that leave it although their rows remain, and samples that come in.

    Args:
        found: the samples of ``before`` that are gone or changed.
        before: sample id -> digest.
    """
    unexplained = {a.sample_id for a in found if a.change == DROPPED and a.reason == TOO_SHORT}
    there = _eligible(dataset, unexplained) if unexplained else set()
    out = [replace(a, change=LEFT_OUT, reason=REDRAWN) if a.sample_id in there else a for a in found]
    new = [s.sample_id for s in dataset.splits[split] if s.sample_id not in before]
    return out + [Affected(name, split, ADDED, TAKEN_IN) for name in new]


def _eligible(dataset: "APADataset", names: set[str]) -> set[str]:
    """The sample ids among ``names`` whose rows may still be drawn."""
    rows, windows = dataset.interactions, dataset.windows
    enough = windows.order[windows.n_before[windows.order] >= dataset.settings.min_history]
    return {name for _, ids in rows.id_chunks(enough) for name in ids if name in names}


def new_shards(opened: "RunResult", store: RunStore, data: "Loaders", exactness: str) -> "tuple[Partition, list[int]]":
    """A new partition, and its shards that differ from the run's: to be trained, or switched off.

    Args:
        exactness: ``strict`` or ``fresh``, which leaves one piece of each shard.
    """
    from recbole_apa.model.contracts import FitInputs
    from recbole_apa.model.embed_samples import embed_samples
    from recbole_apa.model.fit_context import FitContext
    from recbole_apa.model.lineage import chain_of, shard_key
    from recbole_apa.model.make_partition import make_partition
    from recbole_apa.pipeline.trainer_factory import collaborative_of

    part = data.train_set
    pieces = {} if exactness == FRESH else store.load_pieces()
    inputs = FitInputs(reuse=ReusableState(store), collaborative=collaborative_of(opened.config), pieces=pieces)
    fit = FitContext(opened.model, inputs=inputs)
    opened.model.use_dataset(part)
    try:
        partition = make_partition(fit, part, embed_samples(fit, part, SPLITS[0], "Read rewritten prompts"))
    finally:
        opened.model.use_dataset(opened.data.train_set)  # the run stays open as it is
    by_id, places = {s.sample_id: s for s in part.samples}, store.places(pieces, opened.keys)
    out = []
    for shard in range(partition.n_shards):
        members = partition.members(shard)
        chain = chain_of(shard, [by_id[name] for name in members], places)
        key = chain[-1].key if chain else shard_key(shard, [])
        # a shard that was empty and stays empty needs nothing
        if store.finished_shard(shard, key) is None and (members or store.shard_folder(shard).is_dir()):
            out.append(shard)
    return partition, out


def changed_shards(store: RunStore, trainer: "APATrainer") -> list[int]:
    """Shards with a new adapter, or without one now; numbers above the new number of shards are left out.

    Args:
        store: the run before the request.
    """
    sizes, kept = trainer.record.sizes, trainer.record.taken_over
    return [k for k, n in enumerate(sizes) if (k not in kept if n else store.shard_folder(k).is_dir())]
