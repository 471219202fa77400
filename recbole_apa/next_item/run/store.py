"""The folder of a run: a manifest that names the state in force, the states, the ledger, the certificates.

A state is a folder of its own, ``state-0003``. A new one is written whole before the manifest, one file, is replaced:
whatever is killed when, the run is in the old state or in the new one.
"""

import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from recbole_apa.core.errors import FinishedRunError, RunError
from recbole_apa.core.files.plain import copied, read_plain
from recbole_apa.core.files.whole import file_digest, json_of, write_json
from recbole_apa.runs.ledger import Ledger
from recbole_apa.runs.lock import HOLDER, LOCK
from recbole_apa.runs.manifest import CHECK, is_checked, is_safe_name, with_check
from recbole_apa.runs.names import CERTIFICATES, NEXT_ITEMS

MANIFEST, KIND = "manifest.json", NEXT_ITEMS
FORMAT = 1
EXPORTS = "exports.json"
"""Recommendations that were written elsewhere: path -> the state that they are from."""
DRAFTS = "drafts"
"""Folder of a state's drafts."""
GROWN = "added"
"""Key of the manifest: digests of the ledger's lines of additions that the state has; runs that never grew lack it."""
CAUGHT = "caught_up"
"""Key of the manifest: those of lines that say that what requests at once had left was made; runs of which no request
left anything lack it."""
_STATE = re.compile(r"state-\d{4,}")
_NEEDED: Mapping[str, type] = {
    CHECK: str,
    "salt": str,
    "state": str,
    "files": dict,
    "served": list,
    "n_forgotten": int,
    "options": dict,
    "backbone_digest": str,
    "catalogue": str,
    "machine": dict,
    "partition_of": str,
    "seconds": dict,
}


def is_next_item_run(folder: str | Path) -> bool:
    """Whether a folder holds a run of APANext, finished or not readable; other runs have another kind of manifest."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return False
    try:
        value = json_of(read_plain(path), path)
    except RunError:
        return False
    return isinstance(value, dict) and value.get("kind") == KIND


class NextItemStore:
    """Reads and writes one run folder."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def manifest(self) -> dict[str, Any]:
        """
        Raises:
            RunError: no run of APANext, one of another format, or a manifest that was changed after it was written.
        """
        path = self.folder / MANIFEST
        if not path.is_file():
            raise RunError(f"{self.folder} is not a run folder: expected {MANIFEST} in it")
        value = json_of(read_plain(path), path)
        if not isinstance(value, dict) or value.get("kind") != KIND:
            raise RunError(
                f"{path} is not the manifest of a run of {KIND}; from Python runs of APA have functions of their own: "
                "unlearn, add, audit, verify"
            )
        if value.get("format") != FORMAT:
            raise RunError(f"{path} has format {value.get('format')!r}, expected {FORMAT}")
        wrong = [name for name, kind in _NEEDED.items() if type(value.get(name)) is not kind]
        if wrong or not is_checked(value):
            why = f"its entry {wrong[0]!r} is malformed" if wrong else "its digest differs"
            raise RunError(f"{path} was changed after it was written ({why}); restore it from a copy")
        names = [value["state"], *value["files"]]
        if not _STATE.fullmatch(value["state"]) or not all(map(is_safe_name, names)):
            raise RunError(f"{path} names files outside the run; restore it from a copy")
        return copied(value)

    def check(self) -> dict[str, Any]:
        """The manifest, after comparing every file of the state with its digest. A draft may be missing while a line
        of the ledger waits: a request deletes drafts before anything else.

        Raises:
            RunError: as :meth:`manifest`; or a file is missing, differs, or is there without being listed.
        """
        manifest = self.manifest()
        state = self.folder / manifest["state"]
        for name, digest in manifest["files"].items():
            path = state / name
            if not path.is_file():
                if name.startswith(f"{DRAFTS}/") and self.ledger(manifest).waiting():
                    continue
                raise RunError(f"{path} is missing; the manifest lists it: restore the run folder from a copy")
            if file_digest(path) != digest:
                raise RunError(f"{path} was changed after it was written (its digest differs); restore it from a copy")
        more = sorted(set(files_of(state)) - set(manifest["files"]))
        if more:
            raise RunError(
                f"{state / more[0]} is not listed in the manifest; remove it, or restore the run from a copy"
            )
        return manifest

    def state_folder(self, manifest: Mapping[str, Any]) -> Path:
        """The folder of the state in force."""
        return self.folder / str(manifest["state"])

    def ledger(self, manifest: Mapping[str, Any]) -> Ledger:
        """The run's ledger."""
        return Ledger(self.folder, str(manifest["salt"]))

    def begin(self) -> str:
        """Refuse a folder in use by something else; remove what a killed training left.

        Returns:
            a salt for a new run.

        Raises:
            FinishedRunError: the folder holds a finished run of APANext.
            RunError: it holds something else.
        """
        if is_next_item_run(self.folder):
            raise FinishedRunError(
                f"{self.folder} holds a finished run; evaluate it with --run={self.folder}, or choose another --run_dir"
            )
        found = [p for p in self.folder.iterdir() if not p.name.startswith(".")] if self.folder.is_dir() else []
        if (self.folder.exists() and not self.folder.is_dir()) or any(not _is_state(p) for p in found):
            raise RunError(f"{self.folder} exists and holds other files; choose another --run_dir")
        for path in found:
            shutil.rmtree(path)
        return secrets.token_hex(16)

    def new_state(self, before: str | None = None) -> Path:
        """An empty folder for the next state, after removing what is not in force.

        Args:
            before: the name of the state in force.
        """
        self.remove_states(before)
        number = 1 if before is None else int(before.removeprefix("state-")) + 1
        folder = self.folder / f"state-{number:04d}"
        folder.mkdir(parents=True)
        return folder

    def put_in_force(self, manifest: Mapping[str, object]) -> None:
        """Replace the manifest: from now on the run is in the state that it names."""
        write_json(self.folder / MANIFEST, with_check({**manifest, "kind": KIND, "format": FORMAT}))

    def remove_states(self, kept: str | None) -> None:
        """Delete the folders of all states but one."""
        for path in sorted(self.folder.iterdir()) if self.folder.is_dir() else ():
            if _is_state(path) and path.name != kept:
                shutil.rmtree(path)

    def remove_temporary(self) -> None:
        """Delete what a killed process was writing into the run's folder: rows that were to join may be in it."""
        for path in sorted(self.folder.glob(".*.tmp")):
            if path.is_file():
                path.unlink()

    def leftovers(self, manifest: Mapping[str, Any], certificates: Iterable[str]) -> list[str]:
        """What lies in the run folder, at any depth, that no part of the run accounts for; links are among it.

        Args:
            certificates: names of those that the ledger lists.
        """
        files = {MANIFEST, EXPORTS, "ledger.jsonl", LOCK, HOLDER}
        files |= {f"{manifest['state']}/{name}" for name in manifest["files"]}
        files |= {f"{CERTIFICATES}/{name}" for name in certificates}
        folders = {CERTIFICATES} | {str(parent) for name in files for parent in PurePosixPath(name).parents}
        found: list[str] = []
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            is_known = not path.is_symlink() and name in (folders if path.is_dir() else files)
            if not is_known and not any(name.startswith(f"{above}/") for above in found):
                found.append(name)
        return found


def files_of(folder: Path) -> dict[str, str]:
    """Every file below a folder with its digest, by name."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): file_digest(p) for p in paths}


def _is_state(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink() and bool(_STATE.fullmatch(path.name))
