"""Restart points of a shard: its adapter as it was before each later place, beside the one that is served."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.adapters.file_names import ADAPTER, MOMENTS
from recbole_apa.core.files.whole import write_whole
from recbole_apa.runs.names import POINTS

if TYPE_CHECKING:
    from recbole_apa.runs.shard_files import ShardFiles

_POINT = re.compile(r"[0-9]{2,9}\.[0-9]{2}")
_FILES = ("adapter_config.json", ADAPTER, "training.json")


class ShardPoints:
    """The points of one shard in one state: ``shards/003/points/01.00/`` and so on, each with the files of an adapter.

    A point's ``training.json`` is that of the place before it, whose training left this adapter. Between the slices of
    samples that joined the run together, the optimiser's moments are kept as well.
    """

    def __init__(self, store: "ShardFiles", shard: int) -> None:
        self.store, self.shard = store, shard
        self.folder = store.shard_folder(shard) / POINTS

    def names(self) -> list[str]:
        """The points that are there, in the order of their places."""
        if not self.folder.is_dir():
            return []
        found = [p.name for p in self.folder.iterdir() if p.is_dir() and _POINT.fullmatch(p.name)]
        return sorted(found, key=lambda name: [int(number) for number in name.split(".")])

    def find(self, key: str, with_moments: bool) -> str | None:
        """Where the adapter with this key is: the name of a point, ``""`` for the one that is served, or None.

        Args:
            with_moments: whether only one that has its optimiser's moments will do.
        """
        for point in ("", *self.names()):
            folder = self.store.shard_folder(self.shard, point)
            if with_moments and not (folder / MOMENTS).is_file():
                continue
            if (folder / "training.json").is_file() and self.store.shard_record(self.shard, point)["key"] == key:
                return point
        return None

    def keep(self, points: Mapping[str, tuple[Path, bool]]) -> None:
        """Replace all points by copies of these adapters, whole or not at all.

        Args:
            points: name -> the folder of an adapter, which may be one of this shard, and whether with its moments.

        Raises:
            RunError: they cannot be written.
        """
        if points.keys() == set(self.names()) and all(self.folder / name == of[0] for name, of in points.items()):
            return

        def write(folder: Path) -> None:
            folder.mkdir()
            for name, (path, with_moments) in points.items():
                _copy(path, folder / name, with_moments)

        if points:
            write_whole(self.folder, write)
        elif self.folder.is_dir():
            shutil.rmtree(self.folder)

    def serve(self, source: Path, with_moments: bool) -> None:
        """Serve a copy of this adapter; the shard's points stay.

        Raises:
            RunError: it cannot be written.
        """

        def write(folder: Path) -> None:
            _copy(source, folder, with_moments)
            self.copy_to(folder)

        write_whole(self.store.shard_folder(self.shard), write)
        self.store.storage.publish()

    def copy_to(self, folder: Path) -> None:
        """Copy the points into another folder of the shard, which will replace this one."""
        for name in self.names():
            _copy(self.folder / name, folder / POINTS / name, (self.folder / name / MOMENTS).is_file())


def _copy(source: Path, target: Path, with_moments: bool) -> None:
    """Copy the files of an adapter, and nothing else that may lie beside them."""
    target.mkdir(parents=True)
    for name in (*_FILES, MOMENTS) if with_moments else _FILES:
        shutil.copyfile(source / name, target / name)
