"""Where the files of a run are worked on, and how they get to where the run lies."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Storage(Protocol):
    """A folder of this machine that holds a run's files; of a run on an object store a copy of it."""

    @property
    def folder(self) -> Path:
        """Where the files are."""
        ...

    @property
    def place(self) -> str:
        """Where the run lies: the folder, or a URL."""
        ...

    def shown(self, path: Path) -> str:
        """A path below the folder as a person should read it: where it lies with the run."""
        ...

    def publish(self) -> None:
        """Have what the folder holds now where the run lies.

        Raises:
            RunError: the store cannot be written, or another process wrote it meanwhile.
        """
        ...

    def others(self) -> list[str]:
        """Other copies of the run that nobody here may delete."""
        ...

    def at(self, name: str) -> "Storage":
        """A folder inside, which lies with the run as well."""
        ...


@dataclass(frozen=True)
class LocalFolder:
    """A run that lies where it is worked on."""

    folder: Path

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)

    def shown(self, path: Path) -> str:
        """As it is."""
        return str(path)

    def publish(self) -> None:
        """Nothing is to be done."""

    def others(self) -> list[str]:
        """None."""
        return []

    def at(self, name: str) -> "LocalFolder":
        """A folder inside."""
        return LocalFolder(self.folder / name)


@dataclass(frozen=True)
class Inside:
    """A folder inside another storage."""

    outer: Storage
    folder: Path

    @property
    def place(self) -> str:
        """Where it lies with the run."""
        return self.outer.shown(self.folder)

    def shown(self, path: Path) -> str:
        """See :class:`Storage`."""
        return self.outer.shown(path)

    def publish(self) -> None:
        """See :class:`Storage`; all of the run."""
        self.outer.publish()

    def others(self) -> list[str]:
        """See :class:`Storage`."""
        return self.outer.others()

    def at(self, name: str) -> "Inside":
        """See :class:`Storage`."""
        return Inside(self.outer, self.folder / name)


def storage_of(place: Path | Storage) -> Storage:
    """A storage; a path is a folder of this machine."""
    return LocalFolder(place) if isinstance(place, Path) else place
