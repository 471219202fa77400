"""Carry out a request that changes no sample: only the index, and figures of rules that count all rows, are new.

No model is loaded. Adapters, partition, memory, embeddings, tau and n stay as they are, byte for byte: a training on
what remains would have the same samples in the same splits.
"""

import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from recbole_apa.collaborative import CountedRows, RowCount
from recbole_apa.data.dataset_digest import DatasetDigest, items_digest
from recbole_apa.data.eval_checks import is_ranking
from recbole_apa.data.survey import Survey
from recbole_apa.evaluation.report.run_page import write_report
from recbole_apa.evidence import Key, secret_of
from recbole_apa.evidence.exactness import INHERITED
from recbole_apa.evidence.search import Sought, in_state
from recbole_apa.pipeline.indexed_run import IndexedRun
from recbole_apa.runs.collaborative_files import save_collaborative
from recbole_apa.runs.keep_index import write_changed_index
from recbole_apa.runs.ledger import Entry, Ledger, served_by
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import BOARDS, COUNTED, FIGURES, KEY, MACHINES, REGISTERED_BY, SLICE_ORDER, TO_MAKE
from recbole_apa.runs.plain_ids import has_plain_ids
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.begin import begin_pending, next_identity
from recbole_apa.unlearning.certified_figures import figures_on_test
from recbole_apa.unlearning.certifying import CarriedOut, ShardsDone, certify
from recbole_apa.unlearning.checks import refuse_found, refuse_in_index
from recbole_apa.unlearning.collaborative import CollaborativeState, statistics_after
from recbole_apa.unlearning.commit import commit_state
from recbole_apa.unlearning.entries import about_state, carried_out, opened_metrics
from recbole_apa.unlearning.finish import certificate_paths, close
from recbole_apa.unlearning.kept_partition import is_kept
from recbole_apa.unlearning.light import Light
from recbole_apa.unlearning.machines import Machines
from recbole_apa.unlearning.outcome import Outcome
from recbole_apa.unlearning.outside import Outside, own_outside
from recbole_apa.unlearning.rule_figures import write_rule_figures
from recbole_apa.unlearning.statistics_check import SUBTRACTED, statistics_done
from recbole_apa.unlearning.survey_memory import keep_survey, survey_before

if TYPE_CHECKING:
    from recbole_apa.pipeline.build import RunResult


def stays_as_it_is(run: IndexedRun, light: Light, machines: Machines) -> bool:
    """Whether a request leaves everything that was trained or scored."""
    manifest, options = run.manifest, run.manifest["options"]
    return (
        not light.plan.affected
        and TO_MAKE not in manifest  # figures and slices are missing
        and SLICE_ORDER not in manifest["files"]  # it may name somebody of whom no row is left
        and light.touched.keeps_order()  # figures and their intervals are of samples in the run's order
        and not manifest.get(REGISTERED_BY)  # what a plug-in computes may depend on more than samples
        and is_kept(manifest)
        and not is_ranking(options.get("eval_args"))  # candidates depend on everybody's rows
        and not manifest.get("outside", {}).get("exports")
        and not machines.retrains
        and not manifest["settings"].get("evidence_models")  # they are trained again on what remains
    )


def carry_out_untouched(
    run: IndexedRun,
    store: RunStore,
    request: Entry,
    light: Light,
    machines: Machines,
    reopen: "Callable[[], RunResult]",
) -> Outcome:
    """Carry out a request that is in the ledger and leaves every sample; the caller holds the lock.

    Args:
        run: the run as it is; :func:`stays_as_it_is` holds.
        store: where it is written to.
        reopen: loads the run in its new state.

    Raises:
        CertificateError: something that was to be forgotten is still named by the state.
    """
    ledger, before, machines = Ledger(store.storage, store.salt), run.manifest, machines.as_before()
    key = run.keys.key(request.content[KEY])
    survey, digest, counted = _survey_after(run, light, key)
    pending = _begin(run, store, digest, key, machines)
    write_changed_index(pending, light.touched.change, run.files, key)
    items = pending.open_index().items.names  # those without a row left have lost their names
    statistics = statistics_after(light.statistics, run, light.touched, survey, items)
    refuse_in_index(pending, light.sought)
    refuse_in_records(store, light.sought)
    served = [*served_by(before, ledger.entries()), request]
    own = own_outside(store, before)
    figures = _write_records(store, pending, survey, served, statistics)
    if counted is not None:
        pending.write_manifest({**pending.manifest(), COUNTED: counted.to_json()})
    assignment = store.load_assignment()
    assert assignment is not None
    shards = ShardsDone(
        [], [], assignment.n_shards, before["settings"]["fused_shards"], _is_bit_exact(machines, before)
    )
    left = Outside(left=own.left)  # logs of a training that saw none of it stay
    told = statistics_done(pending, before, key, SUBTRACTED)
    done = CarriedOut(before, light.plan, INHERITED, EXACT, 0.0, figures, left, key, machines, shards, told)
    certify(pending, [request], done)
    pending.seal({"ready": True}, kept=_kept_files(pending, before))
    commit_state(store)
    keep_survey(store, survey)
    close(store, ledger, [request.position], run.keys)
    paths, full = certificate_paths(store, [request.position]), before.get("full_training", {}).get("seconds")
    return Outcome([request.position], light.plan, paths, figures, 0.0, full, 0, reopen, statistics=told)


def _survey_after(run: IndexedRun, light: Light, key: Key) -> tuple[Survey, DatasetDigest, CountedRows | None]:
    """What all rows give without those that are to be forgotten, the digest of what remains, and which of it
    collaborative statistics are counted from, if the run keeps them."""
    secret = secret_of(run.manifest["salt"], key)
    is_new_key = run.manifest.get(KEY) != key.name
    before, after, texts = light.touched.before, light.touched.after, run.texts
    kept = light.statistics
    counted, use_ratings = (kept.counted_under(secret), kept.fitted.options.use_ratings) if kept else (None, False)
    rows = RowCount(secret, use_ratings) if kept and counted is None else None
    survey = survey_before(run, secret if is_new_key or rows else None, [rows.add] if rows else [])
    counted = rows.found if rows else counted
    counted = counted and counted.after(before, after, use_ratings)
    # without one of its repeats, a row of an item that nobody had may pass the filters
    new = set() if after is None else {name for name in after.rows.items.texts() if not survey.is_seen(name)}
    survey.take_away(before)
    if after is not None:
        survey.add(after)
    if survey.users_digest is not None:
        return survey, survey.users_digest.plus(items_digest(survey.items_seen(), texts.text_of, secret)), counted
    gone = {name for name in before.rows.items.texts() if not survey.is_seen(name)}
    digest = DatasetDigest.read(run.manifest["dataset_sums"], secret)
    digest = digest.minus(before.users_digest(secret)).minus(items_digest(gone, texts.text_of, secret))
    digest = digest.plus(items_digest(new, texts.text_of, secret))
    return survey, digest if after is None else digest.plus(after.users_digest(secret)), counted


def _begin(run: IndexedRun, store: RunStore, digest: DatasetDigest, key: Key, machines: Machines) -> RunStore:
    """The pending state's folder."""
    before = run.manifest
    identity = next_identity(store, before, digest, before["settings"]["backbone"], before["draw"])
    # the same entries as where a shard is trained, which goes on with this attempt if it is interrupted
    about = {"exactness": INHERITED, KEY: key.name, MACHINES: machines.after()}
    pending = begin_pending(store, identity, about)
    pending.write_manifest({**pending.manifest(), BOARDS: before.get(BOARDS, [])})
    return pending


def refuse_in_records(store: RunStore, sought: Sought) -> None:
    """
    Raises:
        CertificateError: the run's records still name something sought.
    """
    assignment = store.load_assignment()
    assert assignment is not None
    refuse_found(in_state(assignment.shard_of, store.lineage(), {}, sought))


def _write_records(
    store: RunStore, pending: RunStore, survey: Survey, served: Sequence[Entry], statistics: CollaborativeState | None
) -> dict[str, dict[str, float | None]]:
    """Write figures, report and manifest of the new state.

    Returns:
        the certificate's figures.
    """
    before = store.manifest()
    if (store.folder / FIGURES).is_dir():
        shutil.copytree(store.folder / FIGURES, pending.folder / FIGURES, dirs_exist_ok=True)
    metrics = write_rule_figures(store, pending, survey, before, statistics)
    if statistics is not None:
        save_collaborative(pending, statistics.fitted)
    about = about_state(before, served, INHERITED, has_plain_ids(before), kept=True)
    about |= {"chosen": before["chosen"], "outside": before.get("outside", {})}
    pending.write_manifest({**pending.manifest(), **about})
    write_report(pending.folder, carried_out(served), pending.name)
    pending.seal({}, kept=_kept_files(pending, before))
    return figures_on_test(opened_metrics(store), metrics, before["settings"]["aggregation"])


def _kept_files(pending: RunStore, before: Manifest) -> dict[str, str]:
    """The files of the state before that stay, with their digests."""
    own = set(pending.state_files())
    return {name: digest for name, digest in before["files"].items() if name not in own}


def _is_bit_exact(machines: Machines, before: Manifest) -> bool:
    """See :class:`ShardsDone`; nothing was computed now, so this is about what stays."""
    settings = before["settings"]
    return (
        machines.here.device == "cpu" and settings["forward_batch_size"] in (None, 1) and settings["fused_shards"] <= 1
    )
