"""Carry out the requests that wait in the ledger: train the affected shards again, judge the new state, certify it,
put it in place. Killed anywhere, the next call goes on."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from logging import getLogger
from pathlib import Path
from typing import Any

from recbole_apa.assembly import RunResult, build_data, stored_view
from recbole_apa.errors import CertificateError, DataError, RequestError, RunError
from recbole_apa.evaluation_stage import (
    evaluate_state,
    recbole_figures,
    training_cost,
    write_records,
)
from recbole_apa.files import file_digest, read_json
from recbole_apa.former_state import FormerState
from recbole_apa.ledger import DONE, Asked, Entry, Ledger, served_by, view_of
from recbole_apa.make_trainer import make_trainer
from recbole_apa.manifest_options import options_of
from recbole_apa.partition import Partition
from recbole_apa.run_store import CERTIFICATES, METRICS, PENDING, RunIdentity, RunStore
from recbole_apa.trainer import APATrainer
from recbole_apa.unlearning.certificate import (
    INHERITED,
    STRICT,
    affected_counts,
    changed_files,
    versions,
    write_certificate,
)
from recbole_apa.unlearning.forgotten import ForgottenSamples, table_figures
from recbole_apa.unlearning.mover import EXACT, ShardMover
from recbole_apa.unlearning.outside import clean_outside, left_outside, own_outside
from recbole_apa.unlearning.plan import Plan, make_plan
from recbole_apa.unlearning.reachable import refuse_reachable
from recbole_apa.unlearning.switch import pending_store, switch


@dataclass
class Outcome:
    """What came of the requests that were carried out together."""

    requests: list[int]
    """Their lines in the ledger."""
    plan: Plan
    certificates: list[Path]
    figures: dict[str, dict[str, float | None]]
    """Title -> before and after."""
    seconds: float
    """Training, without evaluation."""
    full_seconds: float | None
    """What the first training of the whole state took."""
    result: RunResult = field(repr=False)
    method: str = EXACT
    """How: ``exact``, or the name of an approximate method."""


def finish_switch(store: RunStore, ledger: Ledger) -> list[Path]:
    """Finish what a kill interrupted after the new state was complete. The caller holds the lock.

    Returns:
        the certificates of the requests that this brought to their end.
    """
    if pending_store(store).is_ready():
        switch(store)
    manifest = store.manifest()
    late = [e.position for e in ledger.waiting() if served_by(manifest, e)]
    if late:
        _close(store, ledger, late)
    return _certificate_paths(store, late)


def carry_out(
    opened: RunResult, requests: Sequence[Entry], show: bool, data: tuple[Any, Any, Any] | None = None
) -> Outcome:
    """Carry out requests that are in the ledger; each affected shard is trained once. The caller holds the lock.

    Args:
        opened: the run as it is.
        data: the loaders without what the requests name, where they are there already.
    """
    store: RunStore = opened.trainer.store
    ledger = Ledger(store.folder, store.manifest()["salt"])
    before = store.manifest()
    exactness = STRICT if any(e.content["exactness"] == STRICT for e in requests) else INHERITED
    dropped = ForgottenSamples(opened)
    data = data or data_without(opened, requests)
    method = method_of(requests)
    mover = None if method == EXACT else ShardMover(opened, data[0]._dataset, method)
    plan = plan_of(store, data, requests)
    dropped.judge("before", plan.affected)
    opened.model.use_dataset(data[0]._dataset)
    _purge_memory(opened.model, data)

    pending = _start_pending(store, data, before, exactness)
    trainer = make_trainer(opened.config, opened.model, pending, FormerState(store))
    trainer.mover = mover
    _, valid_result = trainer.fit(data[0], data[1], show_progress=show)
    trainer.mover = mover = None  # it knows prompts that are forgotten now
    result = RunResult({}, store.folder, opened.config, opened.model, trainer, data)
    result.metrics = evaluate_state(result, show) | recbole_figures("valid", valid_result)
    dropped.judge("after")
    _purge_memory(opened.model, data)
    seconds = training_cost(trainer)["seconds"]
    figures = table_figures(opened_metrics(store), result.metrics, dropped)
    outside, view = left_outside(before, trainer, result), data[0]._dataset.view
    own = own_outside(store, before)
    about = {
        "full_training": before.get("full_training", {}),
        "forgotten": sorted(view.forgotten),
        "plain_ids": view.plain_ids,
        "served_requests": [e.digest for e in ledger.requests() if served_by(before, e) or e in requests],
        "partition_of": "this data" if exactness == STRICT else "inherited",
        "outside": outside,
    }
    write_records(result, about, _carried_out(ledger, about["served_requests"]))
    _certify(store, pending, ledger, requests, plan, exactness, method, seconds, figures, trainer, before, own)
    clean_outside(own, result)
    pending.seal({"ready": True})
    switch(store)
    _close(store, ledger, [e.position for e in requests])
    trainer.store = RunStore(store.folder)
    certificates = _certificate_paths(store, [e.position for e in requests])
    full = before.get("full_training", {}).get("seconds")
    return Outcome([e.position for e in requests], plan, certificates, figures, seconds, full, result, method)


def method_of(requests: Sequence[Asked]) -> str:
    """How requests are carried out together: approximately where all ask for the same method, else exactly."""
    asked = {e.content.get("method", EXACT) for e in requests}
    return asked.pop() if len(asked) == 1 else EXACT


def data_without(opened: RunResult, requests: Sequence[Asked]) -> tuple[Any, Any, Any]:
    """The loaders of what remains of a run's data.

    Raises:
        RequestError: nothing would remain.
        CertificateError: something of what was asked for can still be reached.
    """
    before, view = opened.config.view, stored_view(opened.trainer.store)
    opened.config.view = view.without(view_of(requests))
    try:
        data = build_data(opened.config)
        refuse_reachable(data[0]._dataset, data[0]._dataset.view)
    except CertificateError:
        opened.config.view = before
        raise
    except DataError as error:
        opened.config.view = before
        # the data could be read a moment ago: what is new is that rows are missing
        raise RequestError(f"without what is to be forgotten there is no data to train on ({error})") from error
    return data


def plan_of(store: RunStore, data: tuple[Any, Any, Any], requests: Sequence[Asked]) -> Plan:
    """The plan of requests, in the ledger or not yet."""
    partition = store.load_partition()
    assert partition is not None
    digests = {d for e in requests for d in e.content["interactions"]}
    return make_plan(
        len(digests),
        store.lineage(),
        data[0]._dataset.splits,
        partition,
        lambda key: data[0]._dataset.view.hides(key),
        store.manifest().get("full_training", {}),
    )


def opened_metrics(store: RunStore) -> Mapping[str, float]:
    """The figures that the run was left with."""
    return read_json(store.folder / METRICS) if store.has(METRICS) else {}


def _purge_memory(model: Any, data: tuple[Any, Any, Any]) -> None:
    """Forget tokens and frozen states of every prompt that is not in the remaining data."""
    wanted = [p for loader in data for p in model.prompts(loader._dataset.labelled)]
    model.engine.keep_only(wanted)


def _start_pending(store: RunStore, data: tuple[Any, Any, Any], before: Mapping[str, Any], exactness: str) -> RunStore:
    """The pending state's folder, with what is inherited; what an interrupted attempt finished stays."""
    pending = pending_store(store)
    # the backbone may lie elsewhere now; its digest was looked at when the run was opened
    settings = {**before["settings"], "backbone": data[0]._dataset.config["backbone"]}
    identity = RunIdentity(
        settings, options_of(before, store.place), data[0]._dataset.content_digest, before["backbone"], before["draw"]
    )
    try:
        pending.begin(identity, {"exactness": exactness})
        stale = pending.manifest()["exactness"] != exactness
    except RunError:
        stale = True  # of another request, or cut off while it was begun
    if stale:
        shutil.rmtree(pending.folder)
        pending.begin(identity, {"exactness": exactness})
    if exactness == INHERITED and pending.load_partition() is None:
        old = store.load_partition()
        assert old is not None
        left = {s.sample_id for s in data[0]._dataset.samples}
        pending.save_partition(Partition({n: k for n, k in old.shard_of.items() if n in left}, old.centres))
    return pending


def _carried_out(ledger: Ledger, served: Sequence[str]) -> list[dict[str, Any]]:
    """What the report says of each request."""
    return [
        {"position": e.position, "time": e.time, "n_interactions": len(e.content["interactions"])}
        for e in ledger.requests()
        if e.digest in served
    ]


def _certify(
    store: RunStore,
    pending: RunStore,
    ledger: Ledger,
    requests: Sequence[Entry],
    plan: Plan,
    exactness: str,
    method: str,
    seconds: float,
    figures: Mapping[str, Any],
    trainer: APATrainer,
    before: Mapping[str, Any],
    own: Mapping[str, Sequence[str]],
) -> None:
    manifest = pending.manifest()
    total = len(trainer.record.sizes)
    content = {
        "title": f"Certificate of {EXACT} unlearning ({exactness})"
        if method == EXACT
        else f"Certificate of approximate unlearning ({method})",
        "method": method,
        "run": store.folder.name,
        "completed": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "exactness": exactness,
        "affected": affected_counts(plan),
        "shards": {
            "trained": [k for k in range(total) if trainer.record.sizes[k] and k not in trainer.record.taken_over],
            "switched_off": [k for k in plan.shards if not trainer.record.sizes[k]],
            "total": total,
        },
        "seconds": {"training": seconds, "full_training": before.get("full_training", {}).get("seconds")},
        "figures": figures,
        "seed": before["settings"]["seed"],
        "bit_exact": method == EXACT and _is_bit_exact(trainer),
        "fused_shards": trainer.model.settings.training.fused_shards,
        "versions": versions(),
        "files": changed_files(before["files"], manifest["files"]),
        "removed_outside": own["tensorboard"],
        "rewritten_outside": own["exports"],
        "left_outside": own["left"],
    }
    for entry in requests:
        request = {
            "position": entry.position,
            "time": entry.time,
            "digest": entry.digest,
            "n_interactions": len(entry.content["interactions"]),
            "interactions": entry.content["interactions"],
            "served_together": len(requests),
        }
        write_certificate(pending.folder / CERTIFICATES, {"format": 1, "request": request, **content})


def _is_bit_exact(trainer: APATrainer) -> bool:
    """Whether each prompt, and each shard, was computed by itself on a CPU; elsewhere rounding may depend on a batch's
    neighbours."""
    engine = trainer.model.engine
    fused = trainer.model.settings.training.fused_shards > 1
    return engine.decoder.device.type == "cpu" and engine.batch_size == 1 and not fused


def _certificate_paths(store: RunStore, requests: Sequence[int]) -> list[Path]:
    return [store.folder / CERTIFICATES / f"{position:04d}.json" for position in requests]


def _close(store: RunStore, ledger: Ledger, requests: Sequence[int]) -> None:
    """Write into the ledger that requests were carried out, with the digests of their certificates."""
    pending = store.folder / PENDING
    if pending.exists():
        shutil.rmtree(pending)
    folder = store.folder / CERTIFICATES
    names = [f"{n:04d}.{kind}" for n in requests for kind in ("json", "html")]
    ledger.append(
        DONE,
        {
            "requests": list(requests),
            "certificates": {name: file_digest(folder / name) for name in names},
            "manifest": file_digest(store.manifest_path),
        },
    )
    getLogger().info(f"{len(requests)} request(s) carried out; certificates in {folder}")
