"""The files of a trained state besides its adapters: partition, embeddings, lineage, memory."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.tensor_header import tensor_shapes
from recbole_apa.core.files.tensors import Expected, check_tensors
from recbole_apa.core.files.whole import write_json, write_whole
from recbole_apa.core.places import Place
from recbole_apa.partition.assignment import Assignment, Partition
from recbole_apa.runs.files import RunFiles
from recbole_apa.runs.manifest import is_lineage, is_partition, is_pieces, is_prefixes, is_slice_order
from recbole_apa.runs.names import EMBEDDINGS, LINEAGE, MEMORY, PARTITION, PIECES, PREFIXES, SLICE_ORDER

if TYPE_CHECKING:
    from torch import Tensor

    from recbole_apa.adapters.aggregation import Memory

_MEMORY = {
    "embeddings": Expected(("rows", "d")),
    "scores": Expected(("rows", "shards"), greatest=1),
    "errors": Expected(("rows", "shards"), greatest=1),
    "labels": Expected(("rows",), greatest=1),
    "users": Expected(("rows",), ("int64",)),
    "active": Expected(("shards",), ("uint8",), greatest=1),
}


class StateFiles(RunFiles):
    """Reads and writes the files of one state."""

    def save_partition(self, partition: "Partition") -> None:
        """``partition.json`` and ``partition.safetensors``."""
        _save(self.folder / "partition.safetensors", {"centres": partition.centres.contiguous()})
        write_json(self.folder / PARTITION, partition.shard_of)

    def load_partition(self) -> "Partition | None":
        """The partition, if it was written."""
        if not self.has(PARTITION):
            return None
        name = "partition.safetensors"
        tensors = self._tensors(name)
        n_shards = check_tensors(tensors, {"centres": Expected(("shards", "d"))}, self.folder / name)["shards"]
        shard_of = self.read_json(PARTITION)
        if not is_partition(shard_of, n_shards):
            raise RunError(
                f"{self.folder / PARTITION} is not an assignment of samples to {n_shards} shards; restore the run "
                "folder from a copy"
            )
        return Partition(shard_of, tensors["centres"])

    def load_assignment(self) -> Assignment | None:
        """Which shard each sample is in, if that was written; without torch."""
        if not self.has(PARTITION):
            return None
        name, shard_of = "partition.safetensors", self.read_json(PARTITION)
        shape = tensor_shapes(self.read(name), self.folder / name).get("centres", ())
        if len(shape) != 2 or not is_partition(shard_of, shape[0]):
            raise RunError(
                f"{self.folder / PARTITION} is not an assignment of samples to the shards in {name}; restore the run "
                "folder from a copy"
            )
        return Assignment(shard_of, shape[0])

    def save_pieces(self, pieces: Mapping[str, int]) -> None:
        """``pieces.json``: sample id -> number of its piece, above 0; no file without any."""
        if pieces:
            write_json(self.folder / PIECES, pieces)
        else:
            (self.folder / PIECES).unlink(missing_ok=True)

    def load_pieces(self) -> dict[str, int]:
        """Sample id -> number of its piece; samples that it lacks belong to piece 0.

        Raises:
            RunError: damaged.
        """
        if not self.has(PIECES):
            return {}
        pieces: dict[str, int] = self.read_json(PIECES)
        if not is_pieces(pieces):
            raise RunError(
                f"{self.folder / PIECES} is not an assignment of samples to later pieces; restore the run folder from "
                "a copy"
            )
        return pieces

    def save_slice_order(self, order: Mapping[str, int]) -> None:
        """``slice_order.json``: keyed digest of a user -> slice; no file if nobody who is named is left."""
        if order:
            write_json(self.folder / SLICE_ORDER, order)
        else:
            (self.folder / SLICE_ORDER).unlink(missing_ok=True)

    def load_slice_order(self) -> dict[str, int]:
        """Keyed digest of a user -> slice.

        Raises:
            RunError: damaged.
        """
        order: dict[str, int] = self.read_json(SLICE_ORDER)
        if not is_slice_order(order, self.n_slices):
            raise RunError(
                f"{self.folder / SLICE_ORDER} is not an assignment of keyed digests to {self.n_slices} slices; restore "
                "the run folder from a copy"
            )
        return order

    @property
    def n_slices(self) -> int:
        """L."""
        return int(self.manifest()["settings"].get("shard_slices", 1))

    def save_prefixes(self, prefixes: Mapping[int, Place]) -> None:
        """``prefixes.json``: shard -> the first place that its adapter lacks; no file without any."""
        if prefixes:
            write_json(self.folder / PREFIXES, {str(shard): list(place) for shard, place in prefixes.items()})
        else:
            (self.folder / PREFIXES).unlink(missing_ok=True)

    def load_prefixes(self) -> dict[int, Place]:
        """Shard -> the first place that its adapter lacks; shards that it lacks are trained to their ends.

        Raises:
            RunError: damaged.
        """
        if not self.has(PREFIXES):
            return {}
        prefixes = self.read_json(PREFIXES)
        if not is_prefixes(prefixes):
            raise RunError(
                f"{self.folder / PREFIXES} does not say where the training of shards ended; restore the run folder "
                "from a copy"
            )
        return {int(shard): Place(*place) for shard, place in prefixes.items()}

    def save_embeddings(self, embeddings: "Tensor") -> None:
        """``embeddings.safetensors``: h of the training samples, in order of sample id."""
        _save(self.folder / EMBEDDINGS, {"embeddings": embeddings.contiguous()})

    def load_embeddings(self) -> "Tensor":
        """h of the training samples, (n, d)."""
        tensors = self._tensors(EMBEDDINGS)
        check_tensors(tensors, {"embeddings": Expected(("rows", "d"))}, self.folder / EMBEDDINGS)
        return tensors["embeddings"]

    def save_lineage(self, seen: Mapping[str, Mapping[str, str]]) -> None:
        """``lineage.json``: artefact -> sample id -> digest of the sample as the artefact saw it."""
        write_json(self.folder / LINEAGE, seen)

    def lineage(self) -> dict[str, dict[str, str]]:
        """Artefact -> sample id -> digest."""
        seen: dict[str, dict[str, str]] = self.read_json(LINEAGE)
        if not is_lineage(seen):
            raise RunError(f"{self.folder / LINEAGE} is not a lineage; restore the run folder from a copy")
        return seen

    def save_memory(self, memory: "Memory", active: "Tensor") -> None:
        """``memory.safetensors``; its rows are in order of sample id (the ids are in ``lineage.json``)."""
        import torch

        tensors = {
            "embeddings": memory.embeddings.contiguous(),
            "scores": memory.scores.contiguous(),
            "errors": memory.errors.contiguous(),
            "labels": memory.labels.contiguous(),
            "users": memory.users.contiguous(),
            "active": active.to(torch.uint8),
        }
        _save(self.folder / MEMORY, tensors)

    def load_memory(self) -> "tuple[Memory, Tensor]":
        """The memory, and which shards are active."""
        from recbole_apa.adapters.aggregation import Memory

        t = self.memory_tensors()
        return Memory(t["embeddings"], t["scores"], t["labels"], t["users"]), t["active"].bool()

    def memory_tensors(self) -> "dict[str, Tensor]":
        """The tensors of ``memory.safetensors``.

        Raises:
            RunError: damaged, or with other tensors, types or shapes.
        """
        tensors = self._tensors(MEMORY)
        check_tensors(tensors, _MEMORY, self.folder / MEMORY)
        return tensors


def _save(path: Path, tensors: "dict[str, Tensor]") -> None:
    from safetensors.torch import save_file

    write_whole(path, lambda p: save_file(tensors, p))
