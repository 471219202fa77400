"""Check that a run's tensors and lineage match the data that it may still see."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from recbole_apa.core.errors import RunError
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.evidence import KeyRing
from recbole_apa.model.lineage import lineage_of, number_users, sample_order, shard_key
from recbole_apa.pipeline.build import is_same_data, other_data
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import EMBEDDINGS, MEMORY, STATES
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.runs.trunk_activations import check_activations
from recbole_apa.unlearning.checks import reachable

if TYPE_CHECKING:
    from recbole_apa.data.loaders import Loaders

_PROMPT = re.compile(r"[0-9a-f]{64}")


def lineage_findings(store: PinnedStore, manifest: Manifest, data: "Loaders", keys: KeyRing) -> Iterator[str]:
    """Findings where artefacts saw other samples than the data gives now."""
    dataset = data.train_set
    if not is_same_data(manifest, dataset, keys):
        yield other_data(manifest, dataset.config, dataset, keys)
        return
    partition = store.load_partition()
    if partition is None:
        raise RunError(f"{store.folder} has no partition.json")
    said = store.lineage()
    unknown = set(partition.shard_of) - {s.sample_id for s in dataset.splits["train"]}
    if unknown:
        yield f"partition.json contains {len(unknown)} samples that the data no longer has"
        return
    if len(partition.shard_of) < len(dataset.splits["train"]):
        n_missing = len(dataset.splits["train"]) - len(partition.shard_of)
        yield f"partition.json lacks {n_missing} samples that the data has"
        return
    found = lineage_of(partition, dataset.splits, store.has(STATES))
    for name in sorted(found.keys() | said.keys()):
        if found.get(name) != said.get(name):
            yield f"lineage of {name}: it saw other samples than the data gives now"


def shard_findings(store: PinnedStore, data: "Loaders") -> Iterator[str]:
    """Findings where an adapter was not trained on its shard's samples, or does not fit this run's model."""
    partition = store.load_partition()
    if partition is None:
        return  # already reported
    by_id = {s.sample_id: s for s in data.train_set.splits["train"]}
    if not set(partition.shard_of) <= set(by_id):
        return
    shapes: dict[str, Any] = {}
    for shard in range(partition.n_shards):
        members = partition.members(shard)
        key = shard_key(shard, [by_id[name] for name in members])
        if not members:
            if store.shard_folder(shard).exists():
                yield f"shards/{shard:03d} should be empty, but contains an adapter"
            continue
        try:
            loaded = store.load_shard(shard)
        except RunError as error:
            yield str(error)
            continue
        yield from _key_findings(shard, key, loaded and loaded[1]["key"])
        if loaded:
            shape = {name: [tuple(part.shape) for part in parts] for name, parts in loaded[0].items()}
            if shape != (shapes := shapes or shape):
                yield f"shards/{shard:03d} has an adapter of a different shape than the shards before it"


def _key_findings(shard: int, key: str, kept: str | None) -> Iterator[str]:
    """Findings where a shard's record says that it was trained on something else."""
    if kept == key:
        return
    parts = (kept or "").split(":")
    if len(parts) > 2 and parts[0] == "moved" and parts[-1] == key:
        yield f"shards/{shard:03d} was moved by {parts[1]}, not trained again: what it still contains is not known"
    else:
        yield f"shards/{shard:03d} was trained on other samples than its lineage says"


def row_findings(store: PinnedStore, data: "Loaders") -> Iterator[str]:
    """Findings where the tensors do not have one row per sample, with its label and user and consistent figures."""
    splits: Mapping[str, list[Sample]] = data.train_set.splits
    embeddings = store.load_embeddings()
    if len(embeddings) != len(splits["train"]):
        yield f"{EMBEDDINGS} has {len(embeddings)} rows for {len(splits['train'])} training samples"
    tensors = store.memory_tensors()
    valid = [splits[SPLITS[1]][i] for i in sample_order(splits[SPLITS[1]])]
    if [int(y) for y in tensors["labels"].tolist()] != [s.label for s in valid]:
        yield f"{MEMORY} has {len(tensors['labels'])} rows that are not those of the {len(valid)} validation samples"
        return
    if not tensors["users"].equal(number_users([s.user_id for s in valid])):
        yield f"{MEMORY} assigns its rows to other users than those of the validation samples"
    if not tensors["errors"].equal((tensors["labels"][:, None] - tensors["scores"]).abs()):
        yield f"{MEMORY} contains errors that do not follow from its labels and scores"
    if len(embeddings) and len(valid) and embeddings.shape[1] != tensors["embeddings"].shape[1]:
        yield f"{MEMORY} has embeddings of a different size than {EMBEDDINGS}"
    partition = store.load_partition()
    if partition is None:
        return
    if len(embeddings) and partition.centres.shape[1] != embeddings.shape[1]:
        yield f"partition.safetensors has centres of a different size than {EMBEDDINGS}"
    if [bool(n) for n in partition.sizes()] != tensors["active"].bool().tolist():
        yield f"{MEMORY} marks other shards as active than those that have samples"


def state_findings(store: PinnedStore) -> Iterator[str]:
    """Findings where a run's frozen activations are not finite numbers, or more than it has samples."""
    if not store.has(STATES):
        return
    sizes: set[int] = set()
    with store.open_tensors(STATES) as file:
        names = sorted(file.keys())
        for name in names:
            prompt, _, part = name.partition(".")
            if not _PROMPT.fullmatch(prompt) or part not in ("states", "embedding"):
                yield f"{STATES} contains {name[:80]!r}, which is not a frozen activation"
                return
            tensor = file.get_tensor(name)
            check_activations(tensor, f"{store.folder / STATES}: {name}", part)
            sizes.add(tensor.shape[-1])
    prompts = [name.partition(".")[0] for name in names]
    if any(n != 2 for n in Counter(prompts).values()) or len(sizes) > 1:
        yield f"{STATES} contains activations without their embedding, or of several sizes"
    if len(set(prompts)) > len(store.lineage().get(STATES, {})):
        yield f"{STATES} contains the activations of {len(set(prompts))} prompts, more than its lineage has samples"


def reachable_findings(store: PinnedStore, data: "Loaders", keys: KeyRing) -> Iterator[str]:
    """Findings where something forgotten is in the data that the run would learn from."""
    for found in reachable(store, data, keys):
        yield f"what was forgotten can be reached: {found}"
