"""Check that a run's tensors and lineage match the data that it may still see."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING

from recbole_apa.adapters.file_names import MOMENTS
from recbole_apa.core.errors import RunError
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.evidence import KeyRing
from recbole_apa.model.lineage import chain_of, lineage_of, number_users, sample_order
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import EMBEDDINGS, MEMORY, PIECES, PREFIXES, STATES, point_name, shard_name
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.runs.points import ShardPoints
from recbole_apa.runs.trunk_activations import check_activations, kept_as, splits_kept
from recbole_apa.unlearning.checks import reachable

if TYPE_CHECKING:
    from recbole_apa.adapters.bank import Factors
    from recbole_apa.data.loaders import Loaders
    from recbole_apa.partition import Partition

_PROMPT = re.compile(r"[0-9a-f]{64}")


def lineage_findings(store: PinnedStore, manifest: Manifest, data: "Loaders", keys: KeyRing) -> Iterator[str]:
    """Findings where artefacts saw other samples than the data gives now."""
    from recbole_apa.pipeline.same_data import is_same_data, other_data

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
    pieces = store.load_pieces()
    unknown = pieces.keys() - partition.shard_of.keys()
    if unknown:
        yield f"{PIECES} contains {len(unknown)} samples that the data no longer has"
    elif store.has_index() and pieces != dict(dataset.pieces):
        n = len(pieces.items() ^ dataset.pieces.items())
        yield f"{PIECES} does not say what the index says of when samples joined the run ({n} entries differ)"
    places, prefixes = store.places(pieces, keys), store.load_prefixes()
    moved = _moved(store, partition)
    found = lineage_of(partition, dataset.splits, splits_kept(kept_as(store)), places, prefixes, moved)
    for name in sorted(found.keys() | said.keys()):
        if found.get(name) != said.get(name):
            yield f"lineage of {name}: it saw other samples than the data gives now"


def shard_findings(store: PinnedStore, data: "Loaders", keys: KeyRing) -> Iterator[str]:
    """Findings where an adapter was not trained on its shard's samples, or does not fit this run's model."""
    partition = store.load_partition()
    if partition is None:
        return  # already reported
    by_id = {s.sample_id: s for s in data.train_set.splits["train"]}
    if not set(partition.shard_of) <= set(by_id):
        return
    places = store.places(store.load_pieces(), keys)
    prefixes, shapes, moved = store.load_prefixes(), _Shapes(), _moved(store, partition)
    for shard in range(partition.n_shards):
        whole = chain_of(shard, [by_id[name] for name in partition.members(shard)], places)
        chain = [piece for piece in whole if shard not in prefixes or piece.place < prefixes[shard]]
        if shard in prefixes and prefixes[shard] not in [piece.place for piece in whole]:
            yield f"{PREFIXES} says that {shard_name(shard)} lacks samples that it does not have"
        if not chain:
            if store.shard_folder(shard).exists():
                yield f"{shard_name(shard)} should be empty, but contains an adapter"
            continue
        kept = [] if shard in moved else list(pairwise(chain))  # an approximate method leaves no points
        points = {point_name(*piece.place): before.key for before, piece in kept}
        for name in sorted(set(ShardPoints(store, shard).names()) - points.keys()):
            why = "of a shard that was moved" if shard in moved else "before a piece that the shard does not have"
            yield f"{shard_name(shard, name)} is a point {why}"
        goes_on = {point_name(*piece.place) for one, piece in kept if one.place.piece == piece.place.piece}
        if len(chain) < len(whole) and whole[len(chain)].place.piece == chain[-1].place.piece:
            goes_on.add("")
        for point, key in {**points, "": chain[-1].key}.items():
            yield from _adapter_findings(store, (shard, point), key, shapes)
            yield from _moment_findings(store, (shard, point), point in goes_on)
    for shard in sorted(k for k in prefixes if k >= partition.n_shards):
        yield f"{PREFIXES} names {shard_name(shard)}, which the run does not have"


def _moved(store: PinnedStore, partition: "Partition") -> list[int]:
    """The shards that an approximate method moved; of one whose record cannot be read other findings tell."""
    moved = []
    for shard in range(partition.n_shards):
        with suppress(RunError):
            if store.has_moved(shard):
                moved.append(shard)
    return moved


class _Shapes:
    """Names and shapes of an adapter's tensors, which are the same for all of a run."""

    def __init__(self) -> None:
        self.known: dict[str, list[tuple[int, ...]]] = {}

    def fit(self, factors: "Factors") -> bool:
        """Whether an adapter's are those of the first one."""
        own = {name: [tuple(part.shape) for part in parts] for name, parts in factors.items()}
        self.known = self.known or own
        return own == self.known


def _adapter_findings(store: PinnedStore, place: tuple[int, str], key: str, shapes: _Shapes) -> Iterator[str]:
    """Findings about one adapter.

    Args:
        place: shard, and the name of a point of it, or nothing for the adapter that is served.
        key: of the training that should have left it.
    """
    try:
        loaded = store.load_shard(*place)
    except RunError as error:
        yield str(error)
        return
    yield from _key_findings(shard_name(*place), key, loaded and loaded[1]["key"])
    if loaded and not shapes.fit(loaded[0]):
        yield f"{shard_name(*place)} has an adapter of a different shape than the shards before it"


def _moment_findings(store: PinnedStore, place: tuple[int, str], expected: bool) -> Iterator[str]:
    """Findings about the optimiser's moments beside one adapter.

    Args:
        place: as in :func:`_adapter_findings`.
        expected: whether a further slice goes on with them.
    """
    name = f"{shard_name(*place)}/{MOMENTS}"
    if store.has(name) != expected:
        yield f"{name} is {'missing' if expected else 'there, although no further slice goes on with it'}"
        return
    try:
        loaded = store.load_shard(*place) if expected else None
        if loaded:
            store.load_moments(*place, loaded[0])
    except RunError as error:
        yield str(error)


def _key_findings(name: str, key: str, kept: str | None) -> Iterator[str]:
    """Findings where an adapter's record says that it was trained on something else."""
    if kept == key:
        return
    parts = (kept or "").split(":")
    if len(parts) > 2 and parts[0] == "moved" and parts[-1] == key:
        yield f"{name} was moved by {parts[1]}, not trained again: what it still contains is not known"
    else:
        yield f"{name} was trained on other samples than its lineage says"


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
    prefixes, sizes = store.load_prefixes(), partition.sizes()
    has_adapter = [n > 0 and (k not in prefixes or store.shard_folder(k).is_dir()) for k, n in enumerate(sizes)]
    if has_adapter != tensors["active"].bool().tolist():
        yield f"{MEMORY} marks other shards as active than those that have samples and an adapter"


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
