"""Write a new state, a request's with its certificate, and let the manifest name it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recbole_apa.core.files.whole import write_json
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.evidence import KeyRing
from recbole_apa.evidence.exactness import EARLIER, FRESH, INHERITED, THIS_DATA
from recbole_apa.next_item.change import Change
from recbole_apa.next_item.options import MODEL
from recbole_apa.next_item.run.added_files import write_added
from recbole_apa.next_item.run.certificate import (
    ADAPTED,
    BY_NAME,
    BY_STATES,
    CODED,
    DROPPED,
    HEADS,
    LEFT,
    RESTARTED,
    NextItemCertificate,
    keyed_files,
    means,
    served_at_once,
)
from recbole_apa.next_item.run.exports import noted_exports
from recbole_apa.next_item.run.opened import NextItemRun
from recbole_apa.next_item.run.pending import certificate_name
from recbole_apa.next_item.run.state_files import write_state
from recbole_apa.next_item.run.store import CAUGHT, GROWN, NextItemStore, files_of
from recbole_apa.next_item.run.to_make import with_later
from recbole_apa.next_item.title_slices import kept_slices
from recbole_apa.runs.ledger import Entry
from recbole_apa.runs.names import KEY


@dataclass(frozen=True)
class Transition:
    """From one state to the next."""

    before: NextItemRun
    """With its figures, as ``after``."""
    after: NextItemRun
    change: Change
    entries: Sequence[Entry]
    """The lines in the ledger of the requests, carried out together, or of the addition."""
    level: str
    """How they were carried out: as they say, or ``fresh``."""
    seconds: float
    """That computing the new state took."""

    @property
    def caught_up(self) -> list[int]:
        """Shards that lacked something before and do not any more."""
        return sorted(self.before.state.learnt.ends.keys() - self.after.state.learnt.ends.keys())

    @property
    def slices(self) -> dict[str, dict[str, int]]:
        """Of shards that changed (:func:`~recbole_apa.next_item.title_slices.kept_slices`)."""
        return kept_slices(self.before.state.learnt, self.change.first, self.before.options.settings)


def put_new_state(store: NextItemStore, made: Transition, keys: KeyRing) -> None:
    """From here on the run is in the new state; until the last line of this function it is in the old one."""
    after, entries, manifest = made.after, made.entries, store.manifest()
    folder = _written(store, manifest, after)
    key, files = keys.key(str(entries[-1].content[KEY])), files_of(folder)
    for entry in entries:
        changed = keyed_files(manifest["files"], files, key)
        content = _certificate(made, entry, changed, key.name, noted_exports(store.folder))
        write_json(folder / certificate_name(entry.position, len(entries)), content.plain())
    store.put_in_force(
        {
            **_next(manifest, after, folder),
            "served": [*manifest["served"], *(entry.digest for entry in entries)],
            "n_forgotten": manifest["n_forgotten"] + sum(len(entry.content["interactions"]) for entry in entries),
            KEY: key.name,
            "partition_of": _partition_of(made.level, after.options.settings.hashes_users, manifest["partition_of"]),
        }
    )


def _certificate(
    made: Transition,
    entry: Entry,
    files: Mapping[str, Mapping[str, str | None]],
    key: str,
    exports: Iterable[str],
) -> NextItemCertificate:
    """The certificate of one of the requests."""
    before, after, change, level = made.before, made.after, made.change, made.level
    settings, together = after.options.settings, len(made.entries)
    by_name = settings.hashes_users and level != FRESH
    return NextItemCertificate(
        request={
            "position": entry.position,
            "time": entry.time,
            "digest": entry.digest,
            "n_interactions": len(entry.content["interactions"]),
            "interactions": list(entry.content["interactions"]),
            **({"served_together": together} if together > 1 else {}),
        },
        exactness=level,
        means=means(after, level != FRESH and not by_name, by_name),
        kept="" if level == FRESH else _kept(made, by_name),
        users={"changed": len(change.users), "gone": len(change.gone)},
        shards={"changed": list(change.shards), "total": settings.n_shards},
        files=files,
        figures=_figures(before.figures, after.figures),
        seconds={"request": round(made.seconds, 1), **{name: float(v) for name, v in before.seconds.items()}},
        machine=machine_kind(after.options.device).plain(),
        key=key,
        slices=made.slices or None,
        at_once=None if after.is_whole else served_at_once(after),
        caught_up=made.caught_up or None,
        left_outside=[*sorted(exports), *LEFT],
    )


def put_grown_state(store: NextItemStore, made: Transition) -> None:
    """As :func:`put_new_state`, of an addition."""
    after, (entry,), manifest = made.after, made.entries, store.manifest()
    folder = _written(store, manifest, after)
    by_name = after.options.settings.hashes_users
    store.put_in_force(
        {
            **_next(manifest, after, folder),
            GROWN: [*manifest.get(GROWN, []), entry.digest],
            KEY: entry.content[KEY],
            "partition_of": _partition_of(INHERITED, by_name, manifest["partition_of"]),
        }
    )


def put_caught_up(store: NextItemStore, after: NextItemRun, entry: Entry, level: str) -> None:
    """As :func:`put_new_state`, of what requests at once have left for later."""
    manifest = store.manifest()
    folder = _written(store, manifest, after)
    partition = _partition_of(level, after.options.settings.hashes_users, manifest["partition_of"])
    told = {CAUGHT: [*manifest.get(CAUGHT, []), entry.digest], KEY: entry.content[KEY], "partition_of": partition}
    store.put_in_force({**_next(manifest, after, folder), **told})


def _written(store: NextItemStore, manifest: Mapping[str, Any], after: NextItemRun) -> Path:
    """The folder of a new state, with all its files."""
    folder = store.new_state(str(manifest["state"]))
    write_state(folder, after.state, after.figures)
    write_added(folder, after.data.added)
    return folder


def _next(manifest: Mapping[str, Any], after: NextItemRun, folder: Path) -> dict[str, Any]:
    """What a manifest says of a new state, whatever led to it; the rest as before."""
    return {
        **with_later(manifest, after.state, after.options.settings, after.is_whole),
        "state": folder.name,
        "files": files_of(folder),
        "machine": machine_kind(after.options.device).plain(),
        "seconds": after.seconds,
    }


def _partition_of(level: str, hashes_users: bool, before: str) -> str:
    """What the assignment to shards was computed from. A hash of the user's name looks at no data."""
    if level == FRESH or hashes_users:
        return THIS_DATA
    return EARLIER if before in (THIS_DATA, EARLIER) else before


def _kept(made: Transition, by_name: bool) -> str:
    """What an inherited state took over.

    Args:
        by_name: whether users' names alone decide on their shards.
    """
    after = made.after
    trained = RESTARTED if any(told["kept"] for told in made.slices.values()) else ADAPTED
    adapted = trained if after.is_whole else DROPPED
    kept = (BY_NAME if by_name else BY_STATES) + HEADS
    return kept + adapted * bool(after.state.learnt.adapters) + CODED * (after.state.codes is not None)


def _figures(
    before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float | None]]:
    was, now = before.get(MODEL, {}), after.get(MODEL, {})
    return {name: {"before": was.get(name), "after": now.get(name)} for name in sorted({*was, *now})}
