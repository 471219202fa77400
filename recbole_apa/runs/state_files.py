"""The files of a trained state besides its adapters: partition, embeddings, lineage, memory."""

from collections.abc import Mapping

import torch
from safetensors.torch import save_file
from torch import Tensor

from recbole_apa.adapters.aggregation import Memory
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.tensors import Expected, check_tensors
from recbole_apa.core.files.whole import write_json, write_whole
from recbole_apa.partition import Partition
from recbole_apa.runs.files import RunFiles
from recbole_apa.runs.manifest import is_lineage, is_partition, is_pieces
from recbole_apa.runs.names import EMBEDDINGS, LINEAGE, MEMORY, PARTITION, PIECES

_MEMORY = {
    "embeddings": Expected(("rows", "d")),
    "scores": Expected(("rows", "shards"), greatest=1),
    "errors": Expected(("rows", "shards"), greatest=1),
    "labels": Expected(("rows",), greatest=1),
    "users": Expected(("rows",), (torch.int64,)),
    "active": Expected(("shards",), (torch.uint8,), greatest=1),
}


class StateFiles(RunFiles):
    """Reads and writes the files of one state."""

    def save_partition(self, partition: Partition) -> None:
        """``partition.json`` and ``partition.safetensors``."""
        write_whole(
            self.folder / "partition.safetensors",
            lambda p: save_file({"centres": partition.centres.contiguous()}, p),
        )
        write_json(self.folder / PARTITION, partition.shard_of)

    def load_partition(self) -> Partition | None:
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

    def save_embeddings(self, embeddings: Tensor) -> None:
        """``embeddings.safetensors``: h of the training samples, in order of sample id."""
        tensors = {"embeddings": embeddings.contiguous()}
        write_whole(self.folder / EMBEDDINGS, lambda p: save_file(tensors, p))

    def load_embeddings(self) -> Tensor:
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

    def save_memory(self, memory: Memory, active: Tensor) -> None:
        """``memory.safetensors``; its rows are in order of sample id (the ids are in ``lineage.json``)."""
        tensors = {
            "embeddings": memory.embeddings.contiguous(),
            "scores": memory.scores.contiguous(),
            "errors": memory.errors.contiguous(),
            "labels": memory.labels.contiguous(),
            "users": memory.users.contiguous(),
            "active": active.to(torch.uint8),
        }
        write_whole(self.folder / MEMORY, lambda p: save_file(tensors, p))

    def load_memory(self) -> tuple[Memory, Tensor]:
        """The memory, and which shards are active."""
        t = self.memory_tensors()
        return Memory(t["embeddings"], t["scores"], t["labels"], t["users"]), t["active"].bool()

    def memory_tensors(self) -> dict[str, Tensor]:
        """The tensors of ``memory.safetensors``.

        Raises:
            RunError: damaged, or with other tensors, types or shapes.
        """
        tensors = self._tensors(MEMORY)
        check_tensors(tensors, _MEMORY, self.folder / MEMORY)
        return tensors
