"""Check ``manifest.json`` and the other JSON files of a run, which may come from a stranger."""

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict, TypeGuard

from recbole_apa.core.errors import RunError
from recbole_apa.core.seeding import digest_of

CHECK = "check"
_HEX = re.compile(r"[0-9a-f]{8,128}")


class TrainingCost(TypedDict, total=False):
    """How long training a whole state took, for estimates of later requests."""

    seconds: float
    memory_seconds: float
    """For scoring the validation rows."""
    models_seconds: float
    """For the RecBole models of the evidence; absent without them."""
    shard_seconds: list[float]
    shard_samples: list[int]


class Manifest(TypedDict, total=False):
    """The entries of ``manifest.json``; :func:`check_manifest` says which have to be there."""

    format_version: int
    status: str
    """``training`` or ``complete``."""
    identity_digest: str
    salt: str
    """Names and ids are hashed with it."""
    key: str | None
    """Name of the key that digests are made with; None, or missing before format 4, if they are only salted."""
    forgotten: int | list[str]
    """How many interactions requests removed, a row as often as it was; the ledger has their digests. Up to run format
    5: the digests."""
    plain_ids: bool
    """Whether tokens appear in ids unescaped, as before format 3."""
    served: int
    served_requests: list[str | int]
    """Digests of the ledger's lines that were carried out; before format 3 their positions."""
    settings: dict[str, Any]
    options: dict[str, Any]
    """RecBole's and our options, as in a configuration."""
    dataset: str
    dataset_sums: str
    backbone: str
    draw: dict[str, str | None]
    """Split -> the cutoff of its samples' order; None if all were drawn."""
    files: dict[str, str]
    """File -> its digest."""
    chosen: dict[str, Any]
    """``tau`` and ``n_neighbors``."""
    outside: dict[str, list[str]]
    to_make: list[str]
    """What a state lacks that was left at once; absent in all others."""
    evaluated_as: str
    """With that: the option ``variants`` that it is made with."""
    """Kind -> places outside the run folder with traces of the training."""
    boards: list[str]
    machines: list[dict[str, str] | None]
    full_training: TrainingCost
    ready: bool
    """For a state waiting to be put in place: whether it is complete."""
    exactness: str
    partition_of: str
    draw_of: str
    centres_of: str
    code: str
    counted: dict[str, Any]
    """Which rows collaborative statistics are counted from: how many ``rows``, of how many ``users``, their ``digest``,
    and the ``sums`` that are digested. Missing if the run keeps none."""
    registered_by: dict[str, str]
    """Option -> the module outside the package that registered its value, if there is one. Never imported from here."""
    check: str
    """A digest of the other entries."""


class ShardRecord(TypedDict, total=False):
    """``training.json`` of a shard."""

    key: str
    """Identifies its samples and settings."""
    train_seconds: float
    step_losses: list[float]
    epoch_losses: list[float]
    stopped_early: bool
    machine: dict[str, str]


def check_manifest(manifest: Mapping[str, object], path: Path) -> None:
    """
    Raises:
        RunError: names an entry that is missing or of the wrong kind.
    """
    wrong = [name for name in _NEEDED if name not in manifest]
    if wrong:
        raise RunError(f"{path} lacks {', '.join(wrong)}; restore the run folder from a copy")
    for name, (holds, expected) in _ENTRIES.items():
        if name in manifest and not holds(manifest[name]):
            found = repr(manifest[name])
            raise RunError(
                f"{path}: found {name} {found[:60]}{'...' if len(found) > 60 else ''}, expected {expected}; restore it "
                "from a copy"
            )
    if manifest["status"] == "complete":
        missing = [name for name in ("files", "chosen") if name not in manifest]
        if missing:
            raise RunError(f"{path} lacks {', '.join(missing)}; restore the run folder from a copy")


def with_check(manifest: Mapping[str, object]) -> dict[str, object]:
    """A manifest with a digest of its other entries."""
    bare = {name: value for name, value in manifest.items() if name != CHECK}
    return {**bare, CHECK: digest_of("manifest", json.dumps(bare, sort_keys=True)).hex()}


def is_checked(manifest: Mapping[str, object]) -> bool:
    """Whether a manifest is as it was written; those of older versions have no digest to tell."""
    return CHECK not in manifest or manifest[CHECK] == with_check(manifest)[CHECK]


def is_lineage(value: object) -> bool:
    """Artefact -> sample id -> digest."""
    return _mapping_of(value, lambda seen: _mapping_of(seen, _text))


def is_partition(value: object, n_shards: int) -> bool:
    """Sample id -> shard."""
    return _mapping_of(value, lambda shard: _whole(shard) and shard < n_shards)


def is_pieces(value: object) -> bool:
    """Sample id -> number of a later piece."""
    return bool(value) and _mapping_of(value, lambda piece: _whole(piece) and 0 < piece < 10**9)


def is_prefixes(value: object) -> bool:
    """Number of a shard, as JSON writes it -> the numbers of a place."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(
            isinstance(name, str) and name.isascii() and name.isdigit() and name == str(int(name)) for name in value
        )
        and all(isinstance(place, list) and len(place) == 2 and _list_of(place, _whole) for place in value.values())
    )


def is_slice_order(value: object, n_slices: int) -> bool:
    """Digest -> number of a slice."""
    return _mapping_of(value, lambda cut: _whole(cut) and cut < n_slices) and all(map(_digest, value))


def is_shard_record(record: object) -> TypeGuard[ShardRecord]:
    """``training.json``: key of samples and settings, duration, and losses of the epochs."""
    if not isinstance(record, dict):
        return False
    losses = record.get("epoch_losses", [])
    return _text(record.get("key")) and _number(record.get("train_seconds", 0)) and _list_of(losses, _number)


def is_safe_name(name: object) -> bool:
    """Whether a file's name stays inside its folder."""
    if not isinstance(name, str) or not name or "\\" in name or "\0" in name:
        return False
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and path.as_posix() == name and name != "."


def _text(value: object) -> bool:
    return isinstance(value, str)


def _digest(value: object) -> bool:
    return isinstance(value, str) and bool(_HEX.fullmatch(value))


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _list_of(value: object, holds: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(map(holds, value))


def _mapping_of(value: object, holds: Callable[[object], bool]) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict) and all(map(holds, value.values()))


def _files(value: object) -> bool:
    return _mapping_of(value, _digest) and all(map(is_safe_name, value))


def _chosen(value: object) -> bool:
    return isinstance(value, dict) and _number(value.get("tau")) and _whole(value.get("n_neighbors"))


def _draw(value: object) -> bool:
    return isinstance(value, dict) and all(v is None or _text(v) for v in value.values())


def _outside(value: object) -> bool:
    return _mapping_of(value, lambda names: _list_of(names, _place))


def _place(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _costs(value: object) -> bool:
    """Seconds, and lists of them."""
    return _mapping_of(value, lambda v: v is None or _number(v) or _list_of(v, _number))


def _counted(value: object) -> bool:
    if not isinstance(value, dict) or not _text(value.get("sums")):
        return False
    return _whole(value.get("rows")) and _whole(value.get("users")) and _digest(value.get("digest"))


def _settings(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("backbone"), str)


def _options(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("dataset"), str)


_NEEDED = (
    "status",
    "identity_digest",
    "salt",
    "forgotten",
    "settings",
    "options",
    "dataset",
    "backbone",
    "draw",
)
_ENTRIES: dict[str, tuple[Callable[[object], bool], str]] = {
    "status": (lambda v: v in ("training", "complete"), "training or complete"),
    "identity_digest": (_digest, "a digest"),
    "salt": (lambda v: isinstance(v, str) and bool(re.fullmatch("[0-9a-f]{8,64}", v)), "8 to 64 hex digits"),
    "forgotten": (lambda v: _whole(v) or _list_of(v, _text), "a whole number, or a list of digests"),
    "plain_ids": (lambda v: isinstance(v, bool), "true or false"),
    "served": (_whole, "a whole number"),
    "served_requests": (lambda v: _list_of(v, lambda e: _text(e) or _whole(e)), "a list of digests"),
    "settings": (_settings, "settings"),
    "options": (_options, "options with the name of a dataset"),
    "dataset": (_text, "a digest"),
    "backbone": (_text, "a digest"),
    "draw": (_draw, "a cutoff for each split"),
    "files": (_files, "digests of files in the run folder"),
    "chosen": (_chosen, "tau and n_neighbors"),
    "outside": (_outside, "lists of places"),
    "full_training": (_costs, "seconds"),
    "ready": (lambda v: isinstance(v, bool), "true or false"),
    "exactness": (_text, "a text"),
    "evaluated_as": (lambda v: v in ("all", "chosen", "none"), "all, chosen or none"),
    "to_make": (lambda v: _list_of(v, _text), "names of files"),
    "partition_of": (_text, "a text"),
    "code": (_text, "a text"),
    "key": (
        lambda v: v is None or (isinstance(v, str) and bool(re.fullmatch("[0-9a-f]{16}", v))),
        "the name of a key: 16 hex digits",
    ),
    "dataset_sums": (_text, "a text"),
    "boards": (lambda v: _list_of(v, _place), "a list of places"),
    "machines": (lambda v: _list_of(v, lambda kind: kind is None or _mapping_of(kind, _text)), "kinds of machine"),
    "draw_of": (_text, "a text"),
    "registered_by": (lambda v: _mapping_of(v, _text), "names of modules"),
    "centres_of": (_text, "a text"),
    "counted": (_counted, "numbers of rows and users, and their digest"),
}
"""What each entry has to be; other entries are allowed."""
