"""Write a new state, a request's with its certificate, and let the manifest name it."""

from collections.abc import Mapping
from dataclasses import dataclass

from recbole_apa.core.files.whole import write_json
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.evidence import KeyRing
from recbole_apa.evidence.exactness import EARLIER, FRESH, INHERITED, THIS_DATA
from recbole_apa.next_item.change import Change
from recbole_apa.next_item.options import MODEL
from recbole_apa.next_item.run.added_files import write_added
from recbole_apa.next_item.run.certificate import ADAPTED, CODED, KEPT, LEFT, MEANS, NextItemCertificate, keyed_files
from recbole_apa.next_item.run.exports import noted_exports
from recbole_apa.next_item.run.opened import NextItemRun
from recbole_apa.next_item.run.pending import CERTIFICATE
from recbole_apa.next_item.run.state_files import write_state
from recbole_apa.next_item.run.store import GROWN, NextItemStore, files_of
from recbole_apa.runs.ledger import Entry
from recbole_apa.runs.names import KEY


@dataclass(frozen=True)
class Transition:
    """From one state to the next."""

    before: NextItemRun
    """With its figures, as ``after``."""
    after: NextItemRun
    change: Change
    entry: Entry
    """The line in the ledger of the request or the addition."""
    level: str
    """How it was carried out: as it says, or ``fresh``."""
    seconds: float
    """That computing the new state took."""


def put_new_state(store: NextItemStore, made: Transition, keys: KeyRing) -> None:
    """From here on the run is in the new state; until the last line of this function it is in the old one."""
    before, after, change, entry = made.before, made.after, made.change, made.entry
    manifest = store.manifest()
    folder = store.new_state(str(manifest["state"]))
    write_state(folder, after.state, after.figures)
    write_added(folder, after.data.added)
    level, key = made.level, keys.key(str(entry.content[KEY]))
    machine = machine_kind(after.options.device).plain()
    settings = after.options.settings
    is_fresh = level == FRESH or settings.partition == "hashed_user"
    certificate = NextItemCertificate(
        request={
            "position": entry.position,
            "time": entry.time,
            "digest": entry.digest,
            "n_interactions": len(entry.content["interactions"]),
            "interactions": list(entry.content["interactions"]),
        },
        exactness=level,
        means=MEANS[FRESH if is_fresh else INHERITED],
        kept="" if is_fresh else _kept(after),
        users={"changed": len(change.users), "gone": len(change.gone)},
        shards={"changed": list(change.shards), "total": settings.n_shards},
        files=keyed_files(manifest["files"], files_of(folder), key),
        figures=_figures(before.figures, after.figures),
        seconds={"request": round(made.seconds, 1), **{name: float(v) for name, v in before.seconds.items()}},
        machine=machine,
        key=key.name,
        left_outside=[*sorted(noted_exports(store.folder)), *LEFT],
    )
    write_json(folder / CERTIFICATE, certificate.plain())
    store.put_in_force(
        {
            **manifest,
            "state": folder.name,
            "files": files_of(folder),
            "served": [*manifest["served"], entry.digest],
            "n_forgotten": manifest["n_forgotten"] + len(entry.content["interactions"]),
            KEY: key.name,
            "machine": machine,
            "partition_of": _partition_of(level, settings.partition, manifest["partition_of"]),
            "seconds": after.seconds,
        }
    )


def put_grown_state(store: NextItemStore, made: Transition) -> None:
    """As :func:`put_new_state`, of an addition."""
    after, entry, manifest = made.after, made.entry, store.manifest()
    folder = store.new_state(str(manifest["state"]))
    write_state(folder, after.state, after.figures)
    write_added(folder, after.data.added)
    partition = after.options.settings.partition
    store.put_in_force(
        {
            **manifest,
            "state": folder.name,
            "files": files_of(folder),
            GROWN: [*manifest.get(GROWN, []), entry.digest],
            KEY: entry.content[KEY],
            "machine": machine_kind(after.options.device).plain(),
            "partition_of": _partition_of(INHERITED, partition, manifest["partition_of"]),
            "seconds": after.seconds,
        }
    )


def _partition_of(level: str, partition: str, before: str) -> str:
    """What the assignment to shards was computed from. A hash of the user's name looks at no data."""
    if level == FRESH or partition == "hashed_user":
        return THIS_DATA
    return EARLIER if before in (THIS_DATA, EARLIER) else before


def _kept(after: NextItemRun) -> str:
    """What an inherited state took over."""
    return KEPT + ADAPTED * bool(after.state.learnt.adapters) + CODED * (after.state.codes is not None)


def _figures(
    before: Mapping[str, Mapping[str, float]], after: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float | None]]:
    was, now = before.get(MODEL, {}), after.get(MODEL, {})
    return {name: {"before": was.get(name), "after": now.get(name)} for name in sorted({*was, *now})}
