"""A run on disk: everything that makes up a trained model. Never pickled."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recbole_apa.core.errors import FinishedRunError, RunError
from recbole_apa.core.files.line_endings import how_changed, keep_bytes
from recbole_apa.core.files.whole import write_json
from recbole_apa.core.places import Places, Slices
from recbole_apa.evidence import KeyRing
from recbole_apa.runs.files import FORMAT_VERSION, KEYED_FORMAT_VERSION, MANIFEST, OLD_FORMAT_VERSIONS
from recbole_apa.runs.identity import RunIdentity
from recbole_apa.runs.index_files import INDEX_JSON, RunIndexFiles, index_of_base
from recbole_apa.runs.manifest import Manifest, is_checked, with_check
from recbole_apa.runs.names import (
    APART,
    BOARDS,
    COMPLETE,
    KEY,
    MACHINES,
    TRAINING,
)
from recbole_apa.runs.remote.working_copy import is_url
from recbole_apa.runs.scratch import remove_scratch
from recbole_apa.runs.shard_files import ShardFiles
from recbole_apa.runs.slice_order import listed_of
from recbole_apa.runs.storage import Storage

if TYPE_CHECKING:
    from recbole_apa.data.index.read import Index


class RunStore(ShardFiles):
    """Reads and writes one run folder.

    Args:
        base: the state that this one will replace; shards that this folder lacks are read from it.
    """

    base: "RunStore | None"

    def __init__(self, place: Path | Storage, base: "RunStore | None" = None) -> None:
        super().__init__(place)
        self.base = base

    @cached_property
    def salt(self) -> str:
        """The run's salt for hashing names; drawn at random for a new run."""
        if self.base is not None:
            return self.base.salt
        return str(self.manifest()["salt"]) if self.manifest_path.is_file() else secrets.token_hex(16)

    @property
    def home(self) -> str:
        """The absolute place of the run, which the run's marks elsewhere record."""
        if self.base is not None:
            return self.base.home
        return self.place if is_url(self.place) else str(self.folder.resolve())

    @property
    def name(self) -> str:
        """The run's name: that of its folder, also while another state of it is made."""
        return self.base.name if self.base is not None else self.folder.name

    def note_machine(self, kind: Mapping[str, str]) -> None:
        """Record the kind of machine that an interrupted training is resumed on."""
        manifest = self.manifest()
        noted = manifest.get(MACHINES) or [None]
        if kind not in noted:
            self.write_manifest({**manifest, MACHINES: [*noted, kind]})

    def note_board(self, folder: Path) -> None:
        """Record a folder of TensorBoard logs before anything is written there, to find it again after a kill."""
        manifest = self.manifest()
        self.write_manifest({**manifest, BOARDS: [*manifest.get(BOARDS, []), str(folder.resolve())]})

    def begin(self, identity: RunIdentity, about: Mapping[str, object]) -> None:
        """Start a run in this folder, or resume the same one.

        Raises:
            FinishedRunError: the folder contains this same run, finished.
            RunError: the folder contains another run or other files, or cannot be written.
        """
        if self.manifest_path.exists():
            manifest = self.manifest()
            if manifest["identity_digest"] != identity.digest():
                changed = _differences(manifest["settings"], identity.settings)
                raise RunError(
                    f"{self.place} holds another run ({changed or 'other data, backbone or draw'}); expected the same "
                    "settings to resume it: choose another --run_dir"
                )
            # full_training is added by the last seal: without it, the run was interrupted during its evaluation
            if manifest["status"] == COMPLETE and "full_training" in manifest and self.base is None:
                raise FinishedRunError(
                    f"{self.place} holds a finished run; evaluate it with --run={self.place}, or choose another "
                    "--run_dir"
                )
            remove_scratch(self.folder)
            return
        if self.folder.exists() and (not self.folder.is_dir() or any(p.name[0] != "." for p in self.folder.iterdir())):
            raise RunError(f"{self.place} exists and is not a run folder; choose another --run_dir")
        remove_scratch(self.folder)
        if self.base is None:
            keep_bytes(self.folder)  # before the manifest, as a folder with one counts as a begun run
        self.write_manifest(
            {
                "format_version": FORMAT_VERSION,
                "status": TRAINING,
                "identity_digest": identity.digest(),
                "salt": self.salt,
                "forgotten": 0,
                "plain_ids": False,
                KEY: None,
                "served": 0,
                **asdict(identity),
                **about,
            }
        )
        self.storage.publish()

    def write_manifest(self, manifest: Mapping[str, object]) -> None:
        """Write ``manifest.json`` with a digest of itself, so that a later change is noticed when the run is opened."""
        write_json(self.manifest_path, with_check(manifest))

    def is_ready(self) -> bool:
        """Whether this is a complete pending state that is waiting to be put in place."""
        return self.manifest_path.is_file() and bool(self.manifest().get("ready"))

    def seal(self, about: Mapping[str, object], complete: bool = True, kept: Mapping[str, str] | None = None) -> None:
        """Record the digest of each of the run's files.

        Args:
            kept: the base's files that stay, with their digests; None finds them: shards and parts of the index.
            complete: whether nothing is left to do; before that a run does not record its traces outside, and a request
                would leave them there.
        """
        manifest = self.manifest()
        files = {name: self.digest_now(name) for name in self.state_files()}
        if self.base:
            files |= self._files_of_base() if kept is None else dict(kept)
        self.write_manifest({**manifest, **about, "status": COMPLETE if complete else TRAINING, "files": files})
        self.storage.publish()

    def state_files(self) -> list[str]:
        """Every file of the state in this folder, sorted; without the manifest and files that requests leave."""
        out = []
        for path in self.folder.rglob("*"):
            parts = path.relative_to(self.folder).parts
            apart = parts[0] in (MANIFEST, *APART)
            if path.is_file() and not apart and not any(p.startswith(".") for p in parts):
                out.append("/".join(parts))
        return sorted(out)

    def _files_of_base(self) -> dict[str, str]:
        """Digests of the base's shards that are neither in this folder nor empty now, and of untouched index parts."""
        assert self.base is not None
        partition = self.load_partition()
        assert partition is not None
        old = self.base.manifest()["files"]
        gone = self.load_prefixes()  # a shard of which only a part is served is in this folder, or has no adapter
        named = (k for k, n in enumerate(partition.sizes()) if n and k not in gone)
        kept = [f"shards/{k:03d}/" for k in named if not self.shard_folder(k).is_dir()]
        shards = {name: digest for name, digest in old.items() if name.startswith(tuple(kept))} if kept else {}
        return shards | index_of_base(self, old)

    def has_index(self) -> bool:
        """Whether this state has an index: its manifest lists one or, before it is sealed, its folder has one."""
        files = self.manifest().get("files")
        return self.has(INDEX_JSON) if files is None else INDEX_JSON in files

    def open_index(self) -> "Index":
        """The index of what this state may see; a pending state's untouched parts are read from the base.

        Raises:
            RunError: the manifest is missing or damaged. The index's files are checked when they are read.
        """
        from recbole_apa.data.index.read import Index  # pyarrow takes half a second

        return Index(RunIndexFiles(self), self.salt)

    def places(self, pieces: Mapping[str, int], keys: KeyRing) -> Places:
        """When each training sample is trained, given the pieces of those that joined the run later.

        Raises:
            KeyFileError: the run keeps an order of its users, and its key is missing.
        """
        seed = self.manifest()["settings"]["seed"]
        return Places(pieces, Slices(self.n_slices, seed, listed_of(self, keys)))

    def check(self) -> Manifest:
        """The manifest, after checking that the run is complete and all its files are as they were written.

        Raises:
            RunError: incomplete, or a file is missing or differs.
        """
        manifest = self.manifest()
        if manifest["status"] != COMPLETE:
            raise RunError(
                f"{self.place} holds a run whose training was interrupted; finish it with --run_dir={self.place} and "
                "the options it was started with"
            )
        if not is_checked(manifest):
            raise RunError(
                f"{self.place}/{MANIFEST} was changed after it was written (its digest differs); restore it from a copy"
            )
        for name, digest in manifest["files"].items():
            path, known = self.folder / name, f"{self.place}/{name}"
            if not path.is_file():
                raise RunError(f"{known} is missing; the manifest lists it: restore the run folder from a copy")
            if self.digest_now(name) != digest:
                otherwise = " was changed after it was written (its digest differs); restore it from a copy"
                raise RunError(f"{known}{how_changed(path, digest, otherwise)}")
        return manifest

    def identity_in_manifest(self) -> RunIdentity:
        """What decides the numbers of the run, according to the manifest."""
        manifest: Mapping[str, Any] = self.manifest()
        return RunIdentity(
            **{"dataset_sums": "", **{f.name: manifest[f.name] for f in fields(RunIdentity) if f.name in manifest}}
        )


def is_old_format(manifest: Manifest) -> bool:
    """Whether a run was written before format 4."""
    return bool(manifest["format_version"] < KEYED_FORMAT_VERSION)


def knows_no_scopes(manifest: Manifest) -> bool:
    """Whether a run was written before format 3."""
    return bool(manifest["format_version"] == OLD_FORMAT_VERSIONS[0])


def _differences(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    names = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    return ", ".join(f"{n}: {old.get(n)!r} there, {new.get(n)!r} asked" for n in names[:3])
