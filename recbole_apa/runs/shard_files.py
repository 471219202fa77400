"""The adapters of a state: one folder for each shard, with its restart points."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.adapters.file_names import MOMENTS
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import write_whole
from recbole_apa.runs.manifest import ShardRecord, is_shard_record
from recbole_apa.runs.names import MOVED, shard_name
from recbole_apa.runs.points import ShardPoints
from recbole_apa.runs.state_files import StateFiles

if TYPE_CHECKING:
    from recbole_apa.adapters.bank import Factors
    from recbole_apa.adapters.moments import Moments
    from recbole_apa.adapters.peft_files import PeftDescription
    from recbole_apa.adapters.training import ShardHistory


def record_of(history: "ShardHistory", key: str, seconds: float) -> ShardRecord:
    """What ``training.json`` tells of a training.

    Args:
        key: identifies samples and settings.
    """
    return {
        "key": key,
        "train_seconds": round(seconds, 3),
        "step_losses": history.step_losses,
        "epoch_losses": history.epoch_losses,
        "stopped_early": history.stopped_early,
        "machine": history.machine,
    }


def is_moved(record: ShardRecord) -> bool:
    """Whether the record is of an adapter that an approximate method moved."""
    return record["key"].startswith(MOVED)


class ShardFiles(StateFiles):
    """Reads and writes the adapters of one state; those that its folder lacks are the base's."""

    base: "ShardFiles | None"
    """The state that this one will replace."""

    def save_shard(
        self,
        shard: int,
        factors: "Factors",
        about: "PeftDescription",
        record: ShardRecord,
        moments: "Moments | None" = None,
    ) -> None:
        """Write a finished place of a shard as one folder, whole or not at all; the shard's points stay.

        Args:
            record: of its training.
            moments: the optimiser's, where the next place goes on with them.
        """
        from recbole_apa.adapters.moments import write_moments
        from recbole_apa.adapters.peft_files import write_adapter

        def write(folder: Path) -> None:
            folder.mkdir()
            write_adapter(folder, factors, about)
            (folder / "training.json").write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
            if moments:
                write_moments(folder / MOMENTS, moments)
            ShardPoints(self, shard).copy_to(folder)

        write_whole(self.shard_folder(shard), write)
        self.storage.publish()

    def finished_shard(self, shard: int, key: str, or_moved: bool = False) -> "tuple[Factors, ShardRecord] | None":
        """A shard that was trained on exactly these samples with these settings, and its training record.

        Args:
            or_moved: also accept a shard that was moved to these samples by an approximate method.
        """
        folder = self.shard_folder(shard)
        # with moments it waits for a further place, although the data may have none left
        if not (folder / "training.json").is_file() or (folder / MOMENTS).is_file():
            return None
        record = self.shard_record(shard)
        kept: str = record["key"]
        fits = kept == key or (or_moved and is_moved(record) and kept.endswith(key))
        return (self._factors(shard), record) if fits else None

    def moved_shards(self, n_shards: int) -> list[int]:
        """The shards whose adapters an approximate method moved."""
        return [k for k in range(n_shards) if self.has_moved(k)]

    def has_moved(self, shard: int) -> bool:
        """Whether an approximate method moved the shard's adapter."""
        return (self.shard_folder(shard) / "training.json").is_file() and is_moved(self.shard_record(shard))

    def load_shard(self, shard: int, point: str = "") -> "tuple[Factors, ShardRecord] | None":
        """Factors and training record; None for an empty shard.

        Args:
            point: the adapter at this point of the shard instead of the one that is served.
        """
        if not self.shard_folder(shard).is_dir():
            return self.base.load_shard(shard, point) if self.base else None
        return self._factors(shard, point), self.shard_record(shard, point)

    def load_moments(self, shard: int, point: str, factors: "Factors") -> "Moments | None":
        """The optimiser's moments beside an adapter; None where the next place starts with new ones.

        Raises:
            RunError: damaged, or of another adapter.
        """
        from recbole_apa.adapters.moments import parse_moments

        path = self.shard_folder(shard, point) / MOMENTS
        if not path.is_file():
            return None
        return parse_moments(self.read(f"{shard_name(shard, point)}/{MOMENTS}"), path, factors)

    def _factors(self, shard: int, point: str = "") -> "Factors":
        from recbole_apa.adapters.file_names import ADAPTER
        from recbole_apa.adapters.peft_files import parse_adapter

        folder = self.shard_folder(shard, point)
        if not (folder / ADAPTER).is_file():
            raise RunError(f"no adapter at {folder}: expected {ADAPTER} in it")
        return parse_adapter(self.read(f"{shard_name(shard, point)}/{ADAPTER}"), folder / ADAPTER)

    def shard_record(self, shard: int, point: str = "") -> ShardRecord:
        """``training.json`` of a shard, or of one of its points.

        Raises:
            RunError: missing or damaged.
        """
        name = f"{shard_name(shard, point)}/training.json"
        record = self.read_json(name)
        if not is_shard_record(record):
            raise RunError(f"{self.folder / name} is not a training record; restore the run folder from a copy")
        return record

    def shard_folder(self, shard: int, point: str = "") -> Path:
        """``shards/000``, or the folder of one of its points."""
        return self.folder / shard_name(shard, point)
