"""Where the files of a run are worked on, and how they get to the run's place."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Storage(Protocol):
    """A folder on this machine with a run's files; for a run on an object store, a copy of it."""

    @property
    def folder(self) -> Path:
        """Where the files are."""
        ...

    @property
    def place(self) -> str:
        """Where the run is: the folder, or a URL."""
        ...

    def shown(self, path: Path) -> str:
        """A path below the folder for display: as a path at the run's place."""
        ...

    def publish(self) -> None:
        """Copy the folder's current files to the run's place.

        Raises:
            RunError: the store cannot be written, or another process wrote it meanwhile.
        """
        ...

    def others(self) -> list[str]:
        """Other copies of the run, which must not be deleted from here."""
        ...

    def at(self, name: str) -> "Storage":
        """A folder inside, which also belongs to the run."""
        ...


@dataclass(frozen=True)
class LocalFolder:
    """A run that is worked on in place."""

    folder: Path

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)

    def shown(self, path: Path) -> str:
        """The path itself."""
        return str(path)

    def publish(self) -> None:
        """Nothing to do."""

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
        """Where it is at the run's place."""
        return self.outer.shown(self.folder)

    def shown(self, path: Path) -> str:
        """See :class:`Storage`."""
        return self.outer.shown(path)

    def publish(self) -> None:
        """See :class:`Storage`; publishes the whole run."""
        self.outer.publish()

    def others(self) -> list[str]:
        """See :class:`Storage`."""
        return self.outer.others()

    def at(self, name: str) -> "Inside":
        """See :class:`Storage`."""
        return Inside(self.outer, self.folder / name)


def storage_of(place: Path | Storage) -> Storage:
    """A storage; a path is a folder on this machine."""
    return LocalFolder(place) if isinstance(place, Path) else place
