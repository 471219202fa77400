"""Ways to tamper with one file of a run folder, and how each is undone."""

import os
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.attacks.byte_classes import classes_of

STRANGERS = (
    "shards/.lock",
    "shards/000/.lock-holder.json",
    "old-adapter.safetensors",
    ".hidden",
    "shards/000/notes.txt",
    "certificates/0009.json",
    "certificates/deep/0001.json",
    "figures/.lock",
)
"""Files that no run has."""


@dataclass(frozen=True)
class Tampering:
    """One thing that is done to a run."""

    file: str
    """Where, below the folder that holds run and export."""
    how: str
    at: int = -1
    """Position of the byte, where one is changed."""

    @property
    def name(self) -> str:
        """By which it is known when a series is taken up again."""
        return f"{self.file} | {self.how}" + (f" | {self.at}" if self.at >= 0 else "")


def tamperings(root: Path, names: list[str], per_class: int, seed: int) -> Iterator[Tampering]:
    """Everything that is done to the files, class by class.

    Args:
        per_class: how many positions of each class of bytes.
    """
    for name in names:
        data = (root / name).read_bytes()
        hows = [how for how in WHOLE if data or how not in ("cut", "cut by half", "emptied")]
        if name in ("run/.lock", "run/.gitattributes"):
            hows.remove("deleted")  # the one is made anew; runs of older versions lack the other
        yield from (Tampering(name, how) for how in hows)
        chosen = random.Random(f"{seed} {name}")
        for kind, places in sorted(classes_of(name, data).items()):
            for at in sorted(chosen.sample(places, min(per_class, len(places)))):
                yield Tampering(name, f"byte: {kind}", at)
    for stranger in STRANGERS:
        yield Tampering(f"run/{stranger}", "put there")
    for place in ("run/.lock", "run/.lock-holder.json"):
        yield Tampering(place, "an adapter under its name")
    for place in ("run", "run/shards", "run/shards/000", "run/figures", "run/certificates"):
        yield from (Tampering(f"{place}/new", f"{kind} put there") for kind in _PUT)


@contextmanager
def tampered(root: Path, what: Tampering, siblings: list[str]) -> Iterator[bool]:
    """Do it, and undo it at the end.

    Args:
        siblings: files with which one may be swapped.

    Yields:
        whether anything is different now.
    """
    path = root / what.file
    was = path.read_bytes() if path.is_file() else None
    other = next((root / s for s in siblings if s != what.file and (root / s).read_bytes() != was), None)
    others = other.read_bytes() if other else b""
    try:
        yield _do(root, what, path, was, other)
    finally:
        _clear(path)
        if was is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(was)
        for parent in path.parents:
            if parent == root or not parent.is_dir() or any(parent.iterdir()):
                break
            parent.rmdir()
        if other:
            other.write_bytes(others)
        (root / "elsewhere").unlink(missing_ok=True)


def _do(root: Path, what: Tampering, path: Path, was: bytes | None, other: Path | None) -> bool:
    if what.how.startswith("byte: "):
        assert was is not None
        path.write_bytes(was[: what.at] + bytes([_another(was[what.at])]) + was[what.at + 1 :])
        return True
    if what.how == "swapped":
        if other is None or was is None:
            return False
        path.write_bytes(other.read_bytes())
        other.write_bytes(was)
        return True
    if what.how in ("put there", "an adapter under its name"):
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / "run/shards/000/adapter_model.safetensors", path)
        return True
    return bool(WHOLE.get(what.how, _PUT.get(what.how.removesuffix(" put there"), _nothing))(path, root / "elsewhere"))


def _another(byte: int) -> int:
    """A byte that reads as something else of the same kind where it can: a digit, a letter, or one bit less."""
    for low, high in ((b"0", b"9"), (b"a", b"z"), (b"A", b"Z")):
        if low[0] <= byte <= high[0]:
            return byte + 1 if byte < high[0] else low[0]
    return byte ^ 1


def _clear(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def _nothing(path: Path, elsewhere: Path) -> bool:
    return False


def _rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path, Path], bool]:
    def do(path: Path, elsewhere: Path) -> bool:
        before = path.read_bytes()
        path.write_bytes(change(before))
        return before != change(before)

    return do


def _deleted(path: Path, elsewhere: Path) -> bool:
    path.unlink()
    return True


def _linked(path: Path, elsewhere: Path) -> bool:
    """A link to an identical copy."""
    shutil.copyfile(path, elsewhere)
    path.unlink()
    path.symlink_to(elsewhere)
    return True


def _dangling(path: Path, elsewhere: Path) -> bool:
    path.unlink(missing_ok=True)
    path.symlink_to(elsewhere)
    return True


def _round_trip(path: Path, elsewhere: Path) -> bool:
    """A link to itself."""
    path.unlink(missing_ok=True)
    path.symlink_to(path)
    return True


def _folder(path: Path, elsewhere: Path) -> bool:
    path.unlink(missing_ok=True)
    path.mkdir()
    return True


def _fifo(path: Path, elsewhere: Path) -> bool:
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    return True


def _socket(path: Path, elsewhere: Path) -> bool:
    path.unlink(missing_ok=True)
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's address is short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)
    return True


WHOLE: dict[str, Callable[[Path, Path], bool]] = {
    "appended": _rewritten(lambda data: data + b"\0"),
    "line appended": _rewritten(lambda data: data + b"{}\n"),
    "blank appended": _rewritten(lambda data: data + b" "),
    "cut": _rewritten(lambda data: data[:-1]),
    "cut by half": _rewritten(lambda data: data[: len(data) // 2]),
    "emptied": _rewritten(lambda data: b""),
    "deep brackets": _rewritten(lambda data: b"[" * 100_000),
    "long number": _rewritten(lambda data: b'{"a": ' + b"9" * 5000 + b"}"),
    "half a character": _rewritten(lambda data: b'{"a": "\\ud800"}'),
    "no number": _rewritten(lambda data: b'{"a": NaN}'),
    "list": _rewritten(lambda data: b"[]\n"),
    "null": _rewritten(lambda data: b"null\n"),
    "deleted": _deleted,
    "link to an identical copy": _linked,
    "link to nothing": _dangling,
    "link to itself": _round_trip,
    "folder": _folder,
    "FIFO": _fifo,
    "socket": _socket,
    "swapped": lambda path, elsewhere: False,
}
"""Done to a file as a whole: path, and a place outside the run, to whether anything changed."""
_PUT = {"empty folder": _folder, "FIFO": _fifo, "socket": _socket, "link": _dangling}
