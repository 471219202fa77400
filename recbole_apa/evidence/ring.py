"""The key file: a ring of keys, the newest last. It is kept outside all runs, readable only by its owner.

A key is created in memory and written to the file by :meth:`KeyRing.keep`, which is called once a request has been
accepted: a rejected request leaves nothing behind.
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import KeyFileError
from recbole_apa.evidence.key import Key
from recbole_apa.evidence.ring_file import alone, make_folder, write_ring

KEY_FILE = "key_file"
KEY_FILE_VARIABLE = "RECBOLE_APA_KEY_FILE"
_FORMAT = 1
_ATTEMPTS = 5


@dataclass(frozen=True)
class _Entry:
    key: Key
    made: str
    """UTC, ISO 8601."""


class KeyRing:
    """Reads the key file only when a key is needed: runs that have forgotten nothing can be opened without one.

    Args:
        path: the file, which need not exist; None if there is no place for it.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._made: Key | None = None
        self._read: dict[str, Key] = {}
        """Keys read from the file so far: a key never changes."""

    @property
    def path(self) -> Path:
        """
        Raises:
            KeyFileError: there is no home folder to look for it in.
        """
        if self._path is None:
            raise KeyFileError(
                f"there is no home folder for the key file; set its place with --{KEY_FILE} or {KEY_FILE_VARIABLE}"
            )
        # a link is followed, so that a file shared by colleagues remains one file
        return self._path.resolve() if self._path.is_symlink() else self._path

    def key(self, name: str) -> Key:
        """
        Raises:
            KeyFileError: the key file has no such key, or is damaged.
        """
        if name in self._read:
            return self._read[name]
        keys = self._keys()
        self._read.update(keys)
        if self._made is not None:
            keys[self._made.name] = self._made
        if name not in keys:
            found = f"{self.path} holds {', '.join(keys)}" if keys else f"{self.path} does not exist"
            raise KeyFileError(
                "the run has forgotten something, has grown or keeps an order of its users, and opening it needs the "
                f"key {name}; found: {found}; "
                f"set the file that has it with --{KEY_FILE} or {KEY_FILE_VARIABLE}. Without it nobody can tell which "
                "rows were forgotten: if it is lost, train a new run on data without them"
            )
        return keys[name]

    def newest(self) -> Key:
        """The key for new requests; created, but not yet written, if the file has none."""
        if self._made is None:
            keys = self._keys()
            if keys:
                return list(keys.values())[-1]
            self._made = Key.new()
        return self._made

    def rotate(self) -> Key:
        """Add a new key to the file, for requests from now on; what was keyed before keeps its key.

        Raises:
            KeyFileError: the file is damaged, or cannot be written.
        """
        self._made = Key.new()
        self.keep(self._made)
        return self._made

    def keep(self, key: Key) -> None:
        """Make sure the key is in the file before anything is keyed with it.

        Raises:
            KeyFileError: the file is damaged, or cannot be written.
        """
        try:
            for _ in range(_ATTEMPTS):
                if key.name in self._keys():
                    return
                make_folder(self.path.parent)
                with alone(self.path):
                    is_new = not self.path.exists()
                    write_ring(self.path, _text([*self._entries(), _Entry(key, _now())]))
                if is_new:
                    getLogger().warning(
                        f"made the key file {self.path}: keep a copy; without it this run cannot be opened"
                    )
        except OSError as error:
            raise KeyFileError(
                f"cannot write the key file {self.path}: {error}; set another place, outside all runs, with "
                f"--{KEY_FILE} or {KEY_FILE_VARIABLE}"
            ) from error
        raise KeyFileError(f"the key file {self.path} keeps being written by other processes; run this again")

    def outside(self, folder: Path) -> None:
        """
        Raises:
            KeyFileError: the file is in the run's folder, where it would protect nothing.
        """
        if self.path.resolve().is_relative_to(folder.resolve()):
            raise KeyFileError(f"the key file {self.path} is inside the run {folder}; expected another place")

    def _keys(self) -> dict[str, Key]:
        return {entry.key.name: entry.key for entry in self._entries()}

    def _entries(self) -> list[_Entry]:
        """The entries, oldest first."""
        try:
            with open(self.path, encoding="utf-8") as file:
                mode = os.fstat(file.fileno()).st_mode
                value = json.load(file)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise KeyFileError(f"cannot read the key file {self.path}: {error}") from error
        except (ValueError, RecursionError):
            raise KeyFileError(f"the key file {self.path} is damaged; restore it from a copy") from None
        if os.name == "posix" and mode & stat.S_IRWXO:
            getLogger().warning(f"the key file {self.path} is readable by everybody; run: chmod o= {self.path}")
        return _parsed(self.path, value)


def key_ring(options: Mapping[str, Any] | None = None) -> KeyRing:
    """The ring set by ``key_file``, or by ``RECBOLE_APA_KEY_FILE``, else ``recbole-apa/keys.json`` in the user's
    settings folder. A run never says where its key is.
    """
    named = (options or {}).get(KEY_FILE) or os.environ.get(KEY_FILE_VARIABLE)
    if named:
        return KeyRing(Path(os.path.abspath(os.path.expanduser(named))))
    settings = os.environ.get("XDG_CONFIG_HOME")
    try:
        home = Path(settings) if settings else Path.home() / ".config"
    except RuntimeError:  # the user has no passwd entry, and HOME is not set
        return KeyRing(None)
    return KeyRing(home / "recbole-apa" / "keys.json")


def _parsed(path: Path, value: Any) -> list[_Entry]:
    try:
        if value["format"] != _FORMAT:
            raise KeyFileError(f"the key file {path} has format {value['format']!r}, expected {_FORMAT}")
        entries = [
            (entry["name"], _Entry(Key(bytes.fromhex(entry["secret"])), entry["made"])) for entry in value["keys"]
        ]
        wrong = [name for name, entry in entries if entry.key.name != name]
    except (KeyError, TypeError, ValueError):
        raise KeyFileError(f"the key file {path} is damaged; restore it from a copy") from None
    if wrong:
        raise KeyFileError(f"the key file {path}: wrong secret for the key {wrong[0]}; restore it from a copy")
    return [entry for _, entry in entries]


def _text(entries: Iterable[_Entry]) -> str:
    keys = [{"name": e.key.name, "secret": e.key.secret.hex(), "made": e.made} for e in entries]
    return json.dumps({"format": _FORMAT, "keys": keys}, indent=1) + "\n"


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
