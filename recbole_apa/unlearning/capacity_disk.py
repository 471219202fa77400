"""How much of a disk a run takes: measured on a finished run's folder, by what each part grows with."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

from recbole_apa.core.files.whole import read_json
from recbole_apa.runs.files import MANIFEST
from recbole_apa.runs.names import (
    CERTIFICATES,
    COLLABORATIVE,
    COLLABORATIVE_SCORES,
    COLLABORATIVE_SUMS,
    EMBEDDINGS,
    LEDGER,
    LINEAGE,
    MEMORY,
    METRICS,
    PARTITION,
    PENDING,
    STATES,
)
from recbole_apa.runs.trunk_activations import MOST_BYTES

INDEX = "index"
"""The folder of the run's index, which runs of older formats lack."""
_SCORES = ("scores", "errors")
_CENTRES = "partition.safetensors"
_KEPT = (LEDGER, CERTIFICATES, PENDING)
"""They grow with the requests served, and say nothing about a new run."""


INDEX_ROW_BYTES = 40
"""Of one interaction in the index of a large run, names aside: what a run without an index is assumed to need."""


@dataclass(frozen=True)
class DiskCosts:
    """Bytes on disk, by what they grow with."""

    shard: float
    """Of a shard: its adapter with the files beside it, and its centre."""
    sample: float
    """Of a training sample: embedding, place in the partition, entries of the lineage, losses of the training; frozen
    activations if the run keeps them."""
    valid: float
    """Of a validation sample, without its scores."""
    score: float
    """Of a validation sample's score and error under one adapter."""
    row: float = 0.0
    """Of an interaction, in the index; 0 without one."""
    export: float = 0.0
    """Of a sample: ``export_samples``' files, which lie outside the run."""
    fixed: float = 0.0
    """Manifest, report, figures."""
    judged: float = 0.0
    """Of a validation sample, in collaborative statistics: the sums of the pairs of items that its terms need, 48 bytes
    each, and the model's score. Pairs that several samples need are kept once, so many samples take less."""
    valid_states: float = 0.0
    """Of a validation sample: its frozen activations in a run that keeps those of validation samples alone
    (``keep_states: validation``), as long as they take no more than 256 MiB."""
    statistics: float = 0.0
    """Of collaborative statistics without the validation samples: 32 bytes an item, for as many items as the run has;
    what the test samples need, for as many as it has; and what is fitted."""


@dataclass(frozen=True)
class Disk:
    """Bytes that a run takes on disk. Ledger and certificates come on top, with each request, and so do logs."""

    adapters: int
    samples: int
    """What is kept of the training samples."""
    memory: int
    index: int
    records: int
    """Manifest, report, figures."""
    exports: int
    """Training and validation samples; those of the test come on top."""
    statistics: int
    """Collaborative statistics."""

    @property
    def total(self) -> int:
        """Of a finished run."""
        of_state = self.adapters + self.samples + self.memory + self.index + self.statistics
        return of_state + self.records + self.exports

    @property
    def peak(self) -> int:
        """While a request is carried out, at most: the new state is complete before it replaces the old one. A request
        that reaches few shards writes less."""
        return 2 * self.total


def disk_of(costs: DiskCosts, n_shards: int, n_samples: int, n_valid: int, n_rows: int) -> Disk:
    """A run's need.

    Args:
        n_rows: interactions of its dataset.
    """
    states = n_valid * costs.valid_states
    return Disk(
        adapters=round(n_shards * costs.shard),
        samples=round(n_samples * costs.sample),
        memory=round(n_valid * (costs.valid + n_shards * costs.score) + (states if states <= MOST_BYTES else 0)),
        index=round(n_rows * costs.row),
        records=round(costs.fixed),
        exports=round((n_samples + n_valid) * costs.export),
        statistics=round(costs.statistics + n_valid * costs.judged),
    )


def measured_disk(folder: Path, n_rows: int, index_row_bytes: float = 0.0) -> DiskCosts:
    """What a finished run takes, by its files.

    Args:
        n_rows: interactions of its dataset.
        index_row_bytes: what to assume of an interaction in the index if the run has none; 0 leaves the index out.
    """
    lineage: dict[str, dict[str, str]] = read_json(folder / LINEAGE)
    n_samples, n_valid = len(lineage[PARTITION]), len(lineage.get(MEMORY, ()))
    shards = sorted((folder / "shards").iterdir())
    scale = _size(folder / LINEAGE) / len(json.dumps(lineage))  # the file is written with other spaces
    by_valid = scale * len(json.dumps(lineage.get(MEMORY, {})))
    by_sample = scale * sum(len(json.dumps(seen)) for name, seen in lineage.items() if _is_of_training(name))
    centres, losses = _tensor_bytes(folder / _CENTRES), _losses(shards)
    memory = {**dict.fromkeys(_SCORES, 0), **_tensor_bytes(folder / MEMORY)}
    scores = sum(memory.pop(name) for name in _SCORES)
    embeddings = _tensor_bytes(folder / EMBEDDINGS)
    kept = lineage.get(STATES, {}).keys()
    keeps_all = bool(kept & lineage[PARTITION].keys())
    states = _size(folder / STATES) + scale * len(json.dumps(lineage.get(STATES, {}))) if kept else 0.0
    of_each = states / len(kept) if keeps_all else 0.0
    adapters = sum(map(_size, shards)) - losses + sum(centres.values())
    of_samples = sum(embeddings.values()) + _size(folder / PARTITION) + by_sample + losses
    index, statistics = _size(folder / INDEX), _size(folder / COLLABORATIVE)
    judged = _judged_bytes(folder) / max(1, n_valid + len(lineage[METRICS]))
    counted = adapters + of_samples + states + sum(memory.values()) + scores + by_valid + index + statistics
    others = sum(map(_size, folder.iterdir())) - sum(_size(folder / name) for name in _KEPT)
    exports = (read_json(folder / MANIFEST).get("outside") or {}).get("exports", [])
    return DiskCosts(
        shard=adapters / len(shards),
        sample=of_samples / n_samples + of_each,
        valid=(sum(memory.values()) + by_valid) / n_valid + of_each if n_valid else 0.0,
        score=scores / (n_valid * len(shards)) if n_valid else 0.0,
        row=index / n_rows if index else index_row_bytes,
        export=sum(_size(Path(place)) for place in exports) / (n_samples + n_valid + len(lineage[METRICS])),
        fixed=others - counted,
        judged=judged,
        valid_states=states / n_valid if kept and not keeps_all else 0.0,
        statistics=statistics - n_valid * judged,
    )


def _judged_bytes(folder: Path) -> int:
    """Bytes of collaborative statistics that grow with validation and test samples; 0 if there are none."""
    sums, scores = (_tensor_bytes(folder / name) for name in (COLLABORATIVE_SUMS, COLLABORATIVE_SCORES))
    return sum(n for name, n in sums.items() if name.startswith("pairs.")) + sum(scores.values())


def _is_of_training(name: str) -> bool:
    return name in (EMBEDDINGS, PARTITION) or name.startswith("shards/")


def _losses(shards: list[Path]) -> int:
    """Bytes of the losses of all steps and epochs, which grow with the samples; those kept with points among them."""
    told = [read_json(path) for shard in shards for path in sorted(shard.rglob("training.json"))]
    return sum(len(json.dumps(value)) for one in told for name, value in one.items() if name.endswith("_losses"))


def _tensor_bytes(path: Path) -> dict[str, int]:
    """Bytes of each tensor of a safetensors file, by its header; nothing if there is no file."""
    if not path.is_file():
        return {}
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    spans = {name: about["data_offsets"] for name, about in header.items() if name != "__metadata__"}
    return {name: end - begin for name, (begin, end) in spans.items()}


def _size(place: Path) -> int:
    """Bytes of a file, or of all files in a folder; 0 if it is not there."""
    if place.is_dir():
        return sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    return place.stat().st_size if place.is_file() else 0
