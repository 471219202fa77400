"""Write the certificates of requests that were carried out together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import read_json
from recbole_apa.evidence import Key, KeyRing
from recbole_apa.runs.index_files import with_index_as_one
from recbole_apa.runs.ledger import Entry
from recbole_apa.runs.names import CERTIFICATES, KEY, PIECES, TO_MAKE
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.certificate import (
    Certificate,
    CertifiedRequest,
    affected_counts,
    changed_files,
    versions,
    write_certificate,
)
from recbole_apa.unlearning.machines import Machines
from recbole_apa.unlearning.outside import Outside
from recbole_apa.unlearning.plan import Plan
from recbole_apa.unlearning.redraw import changed_shards
from recbole_apa.unlearning.statistics_check import StatisticsDone

if TYPE_CHECKING:
    from recbole_apa.model.trainer import APATrainer


@dataclass(frozen=True)
class ShardsDone:
    """What became of the shards."""

    trained: list[int]
    switched_off: list[int]
    total: int
    fused: int
    """How many were trained side by side."""
    bit_exact: bool
    """Whether each prompt and each shard was computed by itself on a CPU; otherwise rounding may depend on what else is
    in the batch."""
    slices: dict[str, int] | None = None
    """Slices ``trained``, of a ``total``; None if shards are not cut into slices, or were moved."""
    served: dict[str, dict[str, int]] = field(default_factory=dict)
    """Shard -> slices ``served`` of ``total``, of those that lack some."""


@dataclass(frozen=True)
class CarriedOut:
    """How requests were carried out."""

    before: Mapping[str, Any]
    """The manifest of the state before."""
    plan: Plan
    exactness: str
    method: str
    seconds: float
    """Training, with memory and statistics, without evaluation; at once all of it, without opening the run."""
    figures: Mapping[str, Mapping[str, float | None]]
    """Title -> before and after."""
    own: Outside
    """What was done outside the run."""
    key: Key
    """For the digests of the new state."""
    machines: Machines
    shards: ShardsDone
    statistics: StatisticsDone | None = None


def certify(pending: RunStore, requests: Sequence[Entry], done: CarriedOut) -> None:
    """Write a certificate for each request.

    Args:
        pending: the state that takes the run's place.
    """
    for entry in requests:
        write_certificate(pending.folder / CERTIFICATES, _certificate(pending, done, _asked(entry, requests)))


def _asked(entry: Entry, together: Sequence[Entry]) -> CertifiedRequest:
    digests = entry.content["interactions"]
    return CertifiedRequest(entry.position, entry.time, entry.digest, len(digests), digests, len(together))


def refuse_uncertified(store: RunStore, position: int, keys: KeyRing) -> None:
    """Check, before the ledger records that a request was carried out, that the state is the certified one.

    Raises:
        RunError: a file was changed after it was written, or is not the one that the certificate names.
    """
    files = with_index_as_one(store.check()["files"])
    told = read_json(store.folder / CERTIFICATES / f"{position:04d}.json")
    key = keys.key(told[KEY]) if told.get(KEY) else None
    for name, digests in told["files"].items():
        there = files.get(name)
        if (key.keyed(there) if key and there else there) != digests["after"]:
            raise RunError(
                f"{store.place}/{name} is not the file that the certificate of request {position} names: restore the "
                "run from a copy"
            )


def _certificate(pending: RunStore, done: CarriedOut, asked: CertifiedRequest) -> Certificate:
    exact, title = done.method == EXACT, f"Certificate of approximate unlearning ({done.method})"
    later = pending.manifest().get(TO_MAKE)
    prefix = ", from a prefix" if later and done.shards.served else ""
    return Certificate(
        request=asked,
        title=f"Certificate of {EXACT} unlearning ({done.exactness}){prefix}" if exact else title,
        method=done.method,
        run=pending.name,
        completed=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        exactness=done.exactness,
        affected=affected_counts(done.plan),
        shards={name: getattr(done.shards, name) for name in ("trained", "switched_off", "total")},
        seconds=_seconds(done, at_once=bool(later)),
        figures=done.figures,
        seed=done.before["settings"]["seed"],
        bit_exact=exact and done.shards.bit_exact and done.machines.one_kind,
        machines=done.machines.certified(exact),
        fused_shards=done.shards.fused,
        versions=versions(),
        files=changed_files(done.before["files"], pending.manifest()["files"], done.key),
        key=done.key.name,
        removed_outside=done.own.tensorboard,
        rewritten_outside=done.own.exports,
        left_outside=done.own.left,
        statistics=done.statistics,
        in_pieces=PIECES in pending.manifest()["files"],
        slices=done.shards.slices,
        served=done.shards.served if later else None,
        to_make=later,
    )


def _seconds(done: CarriedOut, at_once: bool) -> dict[str, float | None]:
    told = {"training": 0.0, "without_training": done.seconds} if at_once else {"training": done.seconds}
    return {**told, "full_training": done.before.get("full_training", {}).get("seconds")}


def shards_of(store: RunStore, trainer: "APATrainer", method: str) -> ShardsDone:
    """What a training did to the shards.

    Args:
        store: the run as it was.
    """
    record, engine, settings = trainer.record, trainer.model.engine, trainer.model.settings.training
    sizes, fused = record.sizes, settings.fused_shards
    total, in_slices = sum(record.n_chained.values()), settings.shard_slices > 1 and method == EXACT
    return ShardsDone(
        trained=sorted(k for k, n in record.n_new.items() if n),
        switched_off=[k for k in changed_shards(store, trainer) if not sizes[k]],
        total=len(sizes),
        fused=fused,
        bit_exact=engine.decoder.device.type == "cpu" and engine.batch_size == 1 and fused <= 1,
        slices={"trained": sum(record.n_new.values()), "total": total} if in_slices else None,
        served={
            f"{k:03d}": {"served": record.n_served[k], "total": record.n_chained[k]} for k in sorted(record.prefixes)
        },
    )
