"""Prove a run of APANext: in seconds by what it notes of itself, or by training again and comparing every bit."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.whole import file_digest
from recbole_apa.core.system.machine import kind_from, machine_kind
from recbole_apa.data.forgotten import Forgotten
from recbole_apa.evidence import KeyRing, key_ring
from recbole_apa.evidence.exactness import THIS_DATA
from recbole_apa.next_item.derive import derive
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.fit import counts_of
from recbole_apa.next_item.run.certificate import means
from recbole_apa.next_item.run.exports import older_exports
from recbole_apa.next_item.run.left_rows import left_rows
from recbole_apa.next_item.run.opened import NextItemRun, open_state, visible_of
from recbole_apa.next_item.run.pending import certificate_in, refuse_edited, refuse_waiting
from recbole_apa.next_item.run.state_files import read_figures
from recbole_apa.next_item.run.store import GROWN, NextItemStore
from recbole_apa.next_item.run.train import evaluate, trained
from recbole_apa.next_item.sequences import n_targets
from recbole_apa.next_item.title_adapters import lineage_of_shard
from recbole_apa.next_item.title_drafts import lineage_of_draft
from recbole_apa.next_item.title_slices import lineage_of_prefix
from recbole_apa.runs.ledger_lines import DONE
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log
from recbole_apa.runs.names import CERTIFICATES
from recbole_apa.unlearning.proof.full import VerifyResult


@dataclass
class NextItemAudit:
    """What an audit found."""

    checked: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    """What does not hold."""
    notices: list[str] = field(default_factory=list)
    head: str = ""
    """Digest of the ledger's last line."""

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@own_log()
def audit_next_items(folder: str | Path, config_dict: Mapping[str, object] | None = None) -> NextItemAudit:
    """Check digests, ledger, certificates, lineage, leftovers; derive heads, weights and fusion from the sums again,
    and count the evidence again. The sums of states, and figures, are compared by :func:`verify_next_items` alone.

    Raises:
        RunError: not a run of APANext, or in use.
    """
    store, out = NextItemStore(folder), NextItemAudit()
    keys = key_ring(config_dict)
    out.notices += [f"{path} has rows that a killed comparison has left: delete it" for path in left_rows()]
    with run_lock(store.folder, "auditing", writes=False):
        try:
            manifest = store.check()
            refuse_waiting(store, manifest)
            refuse_edited(store, manifest, keys)
            run = open_state(store, config_dict, keys)
        except RunError as error:
            out.findings.append(str(error))
            return out
        out.checked.append(f"{len(manifest['files'])} files by digest, the data by every user's digest")
        _audit_ledger(store, manifest, out)
        _audit_names(store, manifest, run, keys, out)
        _audit_derived(run, _other_machine(run, manifest), out)
        out.notices += [run.later] if run.later else []
    _audit_exports(store, manifest, out)
    return out


def _audit_exports(store: NextItemStore, manifest: Mapping[str, Any], out: NextItemAudit) -> None:
    try:
        older = older_exports(store.folder, manifest)
    except RunError as error:
        out.findings.append(str(error))
        return
    for name in older:
        out.notices.append(f"{name} has recommendations of a state before the last request: delete it, or export again")


def _audit_ledger(store: NextItemStore, manifest: Mapping[str, Any], out: NextItemAudit) -> None:
    ledger = store.ledger(manifest)
    done = [entry for entry in ledger.entries() if entry.kind == DONE]
    out.head = ledger.head()
    for entry in done:
        for name, digest in entry.content.get("certificates", {}).items():
            path = store.folder / CERTIFICATES / name
            if not path.is_file() or file_digest(path) != digest:
                out.findings.append(f"{path} is missing, or not the certificate that was issued")
    for name in done[-1].content.get("certificates", {}) if done else ():
        own, issued = certificate_in(store.state_folder(manifest), name), store.folder / CERTIFICATES / name
        if not own.is_file() or not issued.is_file() or read_plain(own) != read_plain(issued):
            out.findings.append(f"{own} is not the certificate that was issued last, {name}")
    listed = {name for entry in done for name in entry.content.get("certificates", {})}
    for name in store.leftovers(manifest, listed):
        is_issued = name.startswith(f"{CERTIFICATES}/")
        why = "is not a certificate that the ledger lists" if is_issued else "does not belong to the run's state"
        out.findings.append(f"{store.folder / name} {why}")
    out.checked.append(f"{len(ledger.entries())} ledger lines, certificates, leftovers")


def _audit_names(
    store: NextItemStore, manifest: Mapping[str, Any], run: NextItemRun, keys: KeyRing, out: NextItemAudit
) -> None:
    """No name that a request named is in the state: users by their digests, as rows were hidden."""
    learnt = run.state.learnt
    named = {*learnt.shard_of, *learnt.lineage, *learnt.valid.users, *learnt.test.users, *run.data.added.users}
    parts: tuple[Forgotten, ...] = visible_of(store, manifest, keys).forgotten
    for part in parts:
        found = sorted(user for user in named if part.digester.of("user", user) in part.scopes)
        out.findings += [f"a user whom a request named is still in the state ({len(found)} of them)"] if found else []
    others = named - set(run.data.of_user)
    if others:
        out.findings.append(f"{len(others)} users in the state have no visible row")
    out.checked.append(f"{len(named)} users' names against {sum(len(p.scopes) for p in parts)} keyed digests")


def _other_machine(run: NextItemRun, manifest: Mapping[str, Any]) -> str:
    """That this machine rounds in another way than the run's; empty if it does not."""
    here, then = machine_kind(run.options.device), kind_from(manifest["machine"])
    return "" if then is not None and here.rounds_like(then) else f"this is another kind of machine: {here.text()}"


def _audit_derived(run: NextItemRun, machine: str, out: NextItemAudit) -> None:
    """
    Args:
        machine: why bits cannot be compared on this machine; empty if they can.
    """
    learnt, settings = run.state.learnt, run.options.settings
    again = replace(derive(run.state.grid, learnt, run.data, settings, {}), codes=run.state.codes)
    if machine:
        out.notices.append(f"{machine}; heads were compared to six digits, weights and fusion not")
        close = torch.allclose(run.state.heads.weights, again.heads.weights, rtol=1e-6, atol=1e-9)
        found = [] if close else ["heads.weights"]
    else:
        found = differences(run.state, again)
    out.findings += [f"{name} is not what the run's sums give" for name in found]
    counts = counts_of(run.data, learnt.lineage, settings)
    if counts is not None and learnt.counts is not None:
        out.findings += [f"counts.{n} is not what the visible rows give" for n in differences(learnt.counts, counts)]
    _audit_titles(run, out)
    _audit_points(run, out)
    sizes = [0] * settings.n_shards
    for user in learnt.shard_of.keys() & run.data.of_user.keys():
        sequence = run.data.of_user[user]
        sizes[learnt.shard_of[user]] += n_targets(sequence, settings.history_length, settings.all_rows)
    if sizes != [sums.n_rows for sums in learnt.sums]:
        out.findings.append("the shards' numbers of rows are not those of the visible rows")
    out.checked.append("heads, weights, fusion derived from the sums; counts and numbers of rows counted again")


def _audit_titles(run: NextItemRun, out: NextItemAudit) -> None:
    """Adapters and drafts are of the shards' sequences, and drafts of the adapters beside them."""
    learnt, codes, settings = run.state.learnt, run.state.codes, run.options.settings
    digests = {user: told[0] for user, told in learnt.lineage.items()}
    behind = "sequences" if codes is None else "sequences or codes"
    for k, (adapter, draft) in enumerate(zip(learnt.adapters, learnt.drafts, strict=True)):
        if k in learnt.ends:
            continue  # there is no draft: reading the state has compared its files with the manifest
        if adapter is None or adapter.lineage != lineage_of_shard(k, digests, learnt.shard_of, codes):
            out.findings.append(f"the adapter of shard {k} was trained on other {behind} than the run has")
        if draft is None:
            out.findings.append(f"the draft of shard {k} is missing, and no request waits for it")
        elif adapter is not None and draft.lineage != lineage_of_draft(k, adapter, settings):
            out.findings.append(f"the draft of shard {k} was trained for another adapter, or on other sequences")
    if learnt.adapters:
        n, n_drafts = (sum(part is not None for part in parts) for parts in (learnt.adapters, learnt.drafts))
        out.checked.append(
            f"{n} adapters by the digests of the {behind} behind them, {n_drafts} drafts by those of the adapters"
        )


def _audit_points(run: NextItemRun, out: NextItemAudit) -> None:
    """Restart points are of the slices before them; after a request at once the last is what a shard serves."""
    learnt, settings = run.state.learnt, run.options.settings
    for k, points in enumerate(learnt.points):
        for cut, point in enumerate(points, start=1):
            if point.adapter.lineage != lineage_of_prefix(k, cut, learnt, settings, run.state.codes):
                out.findings.append(
                    f"the restart point of shard {k} before slice {cut + 1} was trained on other sequences, or with "
                    "other options"
                )
    for k, end in learnt.ends.items():
        if end and differences(learnt.adapters[k], learnt.points[k][-1].adapter):
            out.findings.append(f"the adapter of shard {k} is not its restart point before slice {end + 1}")
    n = sum(map(len, learnt.points))
    out.checked += [f"{n} restart points by the digests of the slices before them"] if n else []


@own_log()
def verify_next_items(folder: str | Path, config_dict: Mapping[str, object] | None = None) -> VerifyResult:
    """Train from scratch on what the run may see, and compare every number of the state.

    Raises:
        RunError: the run cannot be opened.
    """
    start = time.perf_counter()
    store = NextItemStore(folder)
    manifest = store.manifest()
    with run_lock(store.folder, "verifying", writes=False):
        refuse_waiting(store, manifest)
        refuse_edited(store, manifest, key_ring(config_dict))
        run = open_state(store, config_dict)
        told = read_figures(store.state_folder(manifest))
    inherits = manifest["partition_of"] != THIS_DATA
    again = trained(run.options, run.data, run.state.learnt.shard_of if inherits else None, left=run)
    found = differences(run.state, again.state)
    if again.backbone_digest != run.backbone_digest:
        found.append("backbone")
    evaluate(run)
    found += [] if run.figures == again.figures == told else ["figures"]
    machines = _other_machine(run, manifest)
    is_changed = bool(manifest["served"] or manifest.get(GROWN))
    told_means = means(run, inherits, keeps=False) if is_changed else ""
    compared = ["grid", "sums", "heads", "counts", "states", "weights", "fusion", "lineage", "partition", "figures"]
    compared += ["adapters", "drafts"] if run.state.learnt.adapters else []
    compared += ["restart points"] if any(run.state.learnt.points) else []
    compared += ["codes"] if run.state.codes is not None else []
    return VerifyResult(found, compared, told_means, round(time.perf_counter() - start, 1), machines, not machines)
