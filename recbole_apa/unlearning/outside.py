"""What a request does outside the run folder: delete logs and rewrite exports, if they are the run's own."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.core.errors import RunError
from recbole_apa.pipeline.build import RunResult
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import BOARDS
from recbole_apa.runs.outside import OWN, UNKNOWN, are_own_logs, mark, remove_logs, whose
from recbole_apa.runs.store import RunStore

if TYPE_CHECKING:
    from recbole_apa.model.trainer import APATrainer

_NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS)


@dataclass
class Outside:
    """What the manifest names outside the run, sorted by what to do with it."""

    tensorboard: list[str] = field(default_factory=list)
    """Own logs, to be deleted."""
    exports: list[str] = field(default_factory=list)
    """Own exports, to be rewritten."""
    left: list[str] = field(default_factory=list)
    """Left as it is."""


def left_outside(before: Manifest, trainer: "APATrainer", result: RunResult, own: Outside) -> dict[str, list[str]]:
    """Where traces remain; the next request checks again what was left as it is."""
    from recbole_apa.pipeline.evaluate import traces_outside

    old = before.get("outside", {})
    now = traces_outside(result)
    return {
        "tensorboard": sorted({*now["tensorboard"], *(n for n in old.get("tensorboard", []) if n in own.left)}),
        "logs": sorted({*old.get("logs", []), *now["logs"]}),
        "exports": sorted({*old.get("exports", []), *now["exports"]}),
    }


def own_outside(store: RunStore, before: Manifest) -> Outside:
    """What the manifest names outside the run, and whose it is."""
    named, out = before.get("outside", {}), Outside()
    for kind, own in (("tensorboard", are_own_logs), ("exports", _is_own)):
        for name in named.get(kind, []):
            try:
                there = Path(name).exists()
                # logs that are gone were deleted by an attempt that was interrupted
                mine = own(Path(name), store.salt, store.home) if there else kind == "tensorboard"
            except OSError as error:
                getLogger().warning(f"{name} could not be checked: {error.strerror}")
                there, mine = True, False
            if mine:
                getattr(out, kind).append(name)
            elif there:
                out.left.append(name)
                getLogger().warning(f"{name} is named by the run but does not carry its mark: it is left as it is")
    out.left += store.storage.others()
    return out


def _is_own(folder: Path, salt: str, home: str) -> bool:
    return whose(folder, salt, home) == OWN


def clean_outside(own: Outside, result: RunResult, store: RunStore) -> Outside:
    """Delete the old training's tensorboard logs and rewrite exports.

    Returns:
        what was done; anything without the rights for it is left.
    """
    from recbole_apa.pipeline.evaluate import write_export

    done = Outside(left=list(own.left))
    for name in own.tensorboard:
        (done.tensorboard if _may(name, lambda: remove_logs(Path(name))) else done.left).append(name)  # noqa: B023
    for name in own.exports:

        def write(folder: Path = Path(name)) -> None:
            write_export(folder, result.model, result.data)
            mark(folder, store.salt, store.home)

        (done.exports if _may(name, write) else done.left).append(name)
    return done


def drop_attempt(pending: RunStore) -> None:
    """Delete an abandoned attempt, its own tensorboard logs first: only its manifest names them. One in which nothing
    was trained names those of the run in force, which stay."""
    in_force = pending.base.manifest().get(BOARDS, []) if pending.base else []
    try:
        named = pending.manifest().get(BOARDS, [])
    except RunError:
        named = []  # cut off while it was begun, before it made any; or its manifest is in place
    for path in (Path(name) for name in named if name not in in_force):
        if path.is_dir() and are_own_logs(path, pending.salt, pending.home):
            remove_logs(path)
    shutil.rmtree(pending.folder)


def _may(name: str, action: Callable[[], object]) -> bool:
    """Whether it was done; False without the rights for it."""
    try:
        action()
    except (OSError, RunError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in _NO_RIGHT:
            raise
        getLogger().warning(f"{name} could not be cleaned and is left as it is: {cause.strerror}")
        return False
    return True


def readable_exports(store: RunStore, named: Mapping[str, Sequence[str]]) -> list[str]:
    """Exports that an audit compares with the run: its own ones, if readable; :func:`doubtful` names the others."""
    out = []
    for name in named.get("exports", []):
        with suppress(OSError):
            if whose(Path(name), store.salt, store.home) == OWN and os.access(name, os.R_OK | os.X_OK):
                out.append(name)
    return out


def doubtful(store: RunStore, named: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Places outside the run that may contain traces of what was forgotten, as findings of an audit."""
    for kind in ("tensorboard", "exports"):
        for name in named.get(kind, []):
            try:
                if Path(name).exists() and whose(Path(name), store.salt, store.home) == UNKNOWN:
                    yield (
                        f"{name} could contain traces: the run names it, but it has no mark of this run at this place "
                        "(the run was moved, or is older); delete it if it belongs to this run"
                    )
            except OSError as error:
                yield f"{name} could not be checked ({error.strerror}), and could contain traces"
    for name in store.storage.others():
        yield f"{name} could contain traces: a working copy of this run, from a process that cannot be checked here"
