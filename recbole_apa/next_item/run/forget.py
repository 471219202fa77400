"""Make a run of APANext forget: one ledger line, one new state, one certificate."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.core.system.machine import kind_from, machine_kind
from recbole_apa.core.system.signals import terminable
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import key_ring
from recbole_apa.evidence.exactness import FRESH, INHERITED
from recbole_apa.next_item.added_rows import AddedRows
from recbole_apa.next_item.change import Change, change_of, changed_sums
from recbole_apa.next_item.data import NextItemData, read_next_data
from recbole_apa.next_item.fit import refuse_untrained
from recbole_apa.next_item.identifiers import identifiers_of, refuse_long
from recbole_apa.next_item.run.added_files import kept_incoming
from recbole_apa.next_item.run.asked import Asked, Asking, Groups
from recbole_apa.next_item.run.draft_files import delete_drafts
from recbole_apa.next_item.run.opened import NextItemRun, open_state, visible_of
from recbole_apa.next_item.run.pending import finish_request, refuse_edited, refuse_waiting, without_last_steps
from recbole_apa.next_item.run.put_in_force import Transition, put_caught_up, put_grown_state, put_new_state
from recbole_apa.next_item.run.result import ForgetResult
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import changed_run, completed_run, evaluate, trained
from recbole_apa.next_item.title_adapters import refuse_device
from recbole_apa.next_item.title_slices import kept_slices
from recbole_apa.runs.ledger import Entry, Ledger, Request, visible_without
from recbole_apa.runs.ledger_lines import ADDED, CAUGHT_UP, REQUEST
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log
from recbole_apa.runs.names import KEY
from recbole_apa.unlearning.at_once import is_at_once
from recbole_apa.unlearning.requests.groups import groups_of
from recbole_apa.unlearning.requests.lookup import named_demands
from recbole_apa.unlearning.requests.scopes import covers

LEVELS = (INHERITED, FRESH)


@terminable()
@own_log()
def forget_next_items(
    folder: str | Path,
    requests: str | Path | Sequence[str | Path] | None = None,
    *,
    users: Iterable[object] = (),
    items: Iterable[object] = (),
    interactions: Iterable[Sequence[object]] = (),
    exactness: str = INHERITED,
    skip_unknown: bool = False,
    dry_run: bool = False,
    at_once: bool = False,
    config_dict: Mapping[str, object] | None = None,
    columns: Mapping[str, object] | None = None,
    ids: Mapping[str, str | Path] | None = None,
) -> ForgetResult:
    """Make a finished run forget; first finishes what an interrupted call left waiting.

    Args:
        folder: the run's folder.
        requests, users, items, interactions, columns, ids: as for :func:`recbole_apa.unlearn`; several files are
            carried out together, with a certificate each.
        exactness: ``inherited``, in which the shard of each remaining user stays; or ``fresh``: everything is trained
            again, for a request that was waiting as well.
        skip_unknown: forget what can be found and list the rest, instead of rejecting the whole request.
        dry_run: say what the request changes, and change nothing.
        at_once: in a run with adapters train nothing: changed shards serve theirs from before the first slice that
            changed, or none, and the rest is left for :func:`recbole_apa.catch_up_next_items`. A run of heads alone has
            nothing to leave, and is as ever.
        config_dict: where things are now, e.g. ``{"data_path": ...}``.

    Raises:
        RequestError: malformed, unknown or served before; nothing was changed.
        RunError: the run is damaged, in use, made from other data or on another kind of machine.
    """
    if exactness not in LEVELS:
        raise SettingsError(f"exactness: found {exactness!r}, expected {INHERITED} or {FRESH} for a run of APANext")
    if at_once and exactness != INHERITED:
        raise SettingsError(f"at_once needs exactness: {INHERITED}, found {exactness}: nothing is trained at once")
    groups = groups_of(requests, named_demands(users, items, interactions), columns, ids)
    store = NextItemStore(folder)
    store.manifest()
    with run_lock(store.folder, "unlearning", writes=not dry_run):
        session = ForgetSession(store, config_dict or {}, exactness, skip_unknown, at_once)
        session.passes_over = bool(requests) and not isinstance(requests, (str, Path))
        return session.dry_run(groups) if dry_run else session.run(groups)


class ForgetSession:
    """One call; the caller holds the lock."""

    passes_over = False
    """Whether requests that were carried out before are passed over."""

    def __init__(
        self,
        store: NextItemStore,
        changes: Mapping[str, object],
        exactness: str,
        skip_unknown: bool,
        at_once: bool = False,
    ) -> None:
        self.store, self.changes, self.exactness, self.keys = store, changes, exactness, key_ring(changes)
        self._asking = Asking(store, self.keys, exactness, skip_unknown, at_once)

    def run(self, groups: Groups) -> ForgetResult:
        """Carry out what waits, then the new requests together."""
        waited, out = self.finish_waiting()
        # the same command may have been given again
        asked = [entry for entry in waited if entry.kind == REQUEST]
        named = visible_without(asked, str(self.store.manifest()["salt"]), self.keys).forgotten
        new = [[demand for demand in group if not any(covers(demand, part) for part in named)] for group in groups]
        if any(new):
            self._take([group for group in new if group], out)
        elif not waited:
            raise RequestError(
                "found no request: expected --unlearn=FILE, --forget_users, --forget_items or --forget_interactions; "
                "no interrupted request or addition is waiting either"
            )
        return out

    def _take(self, groups: Groups, out: ForgetResult) -> None:
        """Find what is asked for, write it into the ledger, and carry it out."""
        opened = open_state(self.store, self.changes, self.keys)
        asked = self._ask(opened, groups)
        out.left = asked.left
        if not asked.requests:
            return
        out.is_at_once = self._asking.at_once
        self.refuse_unfit(opened, self._after(opened, asked.requests))
        self.keys.outside(self.store.folder)
        self.keys.keep(self.keys.newest())
        ledger = self._ledger(self.store.manifest())
        self._carry_out([ledger.append(REQUEST, one.content) for one in asked.requests], out, opened)

    def _ask(self, opened: NextItemRun, groups: Groups) -> Asked:
        new, passed = self._asking.not_done_before(opened, groups) if self.passes_over else (groups, [])
        asked = self._asking.all(opened, new)
        return replace(asked, left=[*passed, *asked.left])

    def finish_waiting(self) -> tuple[list[Entry], ForgetResult]:
        """Carry out what an interrupted call left.

        Returns:
            the lines that were waiting, and what became of them.
        """
        manifest = self.store.manifest()
        waited = self._ledger(manifest).waiting()
        late = without_last_steps(self.store, manifest)
        out = ForgetResult(certificates=finish_request(self.store, manifest, self.keys))
        out.last_steps = [entry.position for entry in late]
        out.finished_additions = [entry.position for entry in late if entry.kind == ADDED]
        refuse_edited(self.store, self.store.manifest(), self.keys)
        for kind, entries in groupby(self._ledger(manifest).waiting(), lambda entry: entry.kind):
            if kind == REQUEST:
                self._carry_out(list(entries), out)
                continue
            for entry in entries:
                if kind == CAUGHT_UP:
                    self.catch_up(out, entry)
                    continue
                self._grow_waiting(entry, out)
        return waited, out

    def catch_up(self, out: ForgetResult, entry: Entry | None = None) -> None:
        """Train what requests at once have left untrained; everything again, if ``fresh`` is asked for now.

        Args:
            entry: its line in the ledger, if an interrupted call has written it: that comes once all is trained.
        """
        start, manifest = time.perf_counter(), self.store.manifest()
        opened = open_state(self.store, self.changes, self.keys)
        refuse_device(opened.options.settings, opened.options.device)
        if self.exactness == FRESH:
            run = trained(opened.options, opened.data, known=opened)
        else:
            self.refuse_other_machine(opened, manifest)
            run = completed_run(opened)
        key = self.keys.key(str(manifest[KEY]))
        entry = entry or self._ledger(manifest).append(CAUGHT_UP, {KEY: key.name})
        put_caught_up(self.store, run, entry, self.exactness)
        finish_request(self.store, self.store.manifest(), self.keys)
        out.caught_up, out.run = sorted(opened.state.learnt.ends), run
        out.n_shards, out.seconds = opened.options.settings.n_shards, out.seconds + time.perf_counter() - start

    def dry_run(self, groups: Groups) -> ForgetResult:
        """What requests would change."""
        refuse_waiting(self.store, self.store.manifest())
        opened = open_state(self.store, self.changes, self.keys)
        asked = self._ask(opened, groups or [[]])
        out = ForgetResult(n_interactions=asked.n_interactions, left=asked.left, is_dry=True)
        if not asked.requests:
            return out
        out.is_at_once = self._asking.at_once
        after = self._after(opened, asked.requests)
        return self._told(out, opened, change_of(opened.state, after, opened.options.settings))

    def _grow_waiting(self, entry: Entry, out: ForgetResult) -> None:
        grown = self.grow(entry)
        out.finished_additions.append(entry.position)
        out.caught_up, out.run = grown.caught_up or out.caught_up, grown.after
        out.n_shards, out.seconds = grown.after.options.settings.n_shards, out.seconds + grown.seconds

    def grow(self, entry: Entry, opened: NextItemRun | None = None) -> Transition:
        """Carry out an addition that the ledger has taken."""
        start = time.perf_counter()
        opened = opened or open_state(self.store, self.changes, self.keys)
        rows = kept_incoming(self.store, str(entry.content["rows"]), self.keys.key(str(entry.content[KEY])))
        after = self.with_rows(opened, rows)
        change = change_of(opened.state, after, opened.options.settings, joins=True)
        run = self._retrained(opened, after, INHERITED, at_once=False)
        evaluate(opened)
        seconds = time.perf_counter() - start
        made = Transition(opened, run, change, [entry], INHERITED, seconds)
        put_grown_state(self.store, made)
        finish_request(self.store, self.store.manifest(), self.keys)
        return made

    def with_rows(self, opened: NextItemRun, rows: AddedRows) -> NextItemData:
        """The data with rows that join."""
        visible = visible_of(self.store, self.store.manifest(), self.keys)
        return _data(opened, visible, opened.data.added.plus(rows))

    def _after(self, opened: NextItemRun, requests: Iterable[Request]) -> NextItemData:
        """The data without what requests name as well."""
        salt = str(self.store.manifest()["salt"])
        before = visible_of(self.store, self.store.manifest(), self.keys)
        return _data(opened, before.without(visible_without(requests, salt, self.keys)), opened.data.added)

    def refuse_unfit(self, opened: NextItemRun, after: NextItemData, joins: bool = False) -> None:
        """Refuse, before it is in the ledger, what could not be carried out: it would wait for ever."""
        settings = opened.options.settings
        refuse_untrained(after, settings)
        refuse_device(settings, opened.options.device)
        if self.exactness == INHERITED:
            self.refuse_other_machine(opened, self.store.manifest())
        users = change_of(opened.state, after, settings, joins).users
        changed = [after.of_user[user] for user in users if user in after.of_user]
        opened.reader.refuse_long(changed, settings.all_rows)
        if opened.state.codes is not None:
            states, catalogue = opened.reader.states, after.catalogue
            refuse_long(identifiers_of(catalogue, states.encoder, opened.state.codes), states, catalogue, changed)

    def _level(self, entries: Sequence[Entry]) -> str:
        """Waiting requests are carried out as they were made, or with ``fresh``, which takes over less, if that is
        asked for now: there may be one that nothing else can finish here."""
        return FRESH if FRESH in (self.exactness, *(e.content["exactness"] for e in entries)) else INHERITED

    def _carry_out(self, entries: Sequence[Entry], out: ForgetResult, opened: NextItemRun | None = None) -> None:
        """Carry out requests together."""
        start = time.perf_counter()
        manifest = self.store.manifest()
        opened = opened or open_state(self.store, self.changes, self.keys)
        after = self._after(opened, entries)
        change = change_of(opened.state, after, opened.options.settings)
        level = self._level(entries)
        at_once = level == INHERITED and is_at_once(entries)
        delete_drafts(self.store.state_folder(manifest), change.shards)
        run = self._retrained(opened, after, level, at_once)
        if level == FRESH:
            change = replace(change, shards=changed_sums(opened.state, run.state), first={})
        evaluate(opened)
        seconds = time.perf_counter() - start
        made = Transition(opened, run, change, entries, level, seconds)
        put_new_state(self.store, made, self.keys)
        out.caught_up = made.caught_up or out.caught_up
        out.certificates += finish_request(self.store, self.store.manifest(), self.keys)
        out.n_interactions += sum(len(entry.content["interactions"]) for entry in entries)
        out.seconds, out.run = out.seconds + seconds, run
        self._told(out, opened, change)

    def _retrained(self, opened: NextItemRun, after: NextItemData, level: str, at_once: bool) -> NextItemRun:
        if level == FRESH:
            return trained(opened.options, after, known=opened)
        self.refuse_other_machine(opened, self.store.manifest())
        return changed_run(opened, after, at_once)

    def refuse_other_machine(self, opened: NextItemRun, manifest: Mapping[str, Any]) -> None:
        here, then = machine_kind(opened.options.device), kind_from(manifest["machine"])
        if then is None or not here.rounds_like(then):
            was = "unknown" if then is None else then.text()
            raise SettingsError(
                f"the run comes from another kind of machine ({was}; here: {here.text()}), which rounds differently: "
                f"expected a machine like the run's; --exactness={FRESH} trains everything again for a request, and "
                f"from Python forget_next_items(RUN, exactness={FRESH!r}) finishes what waits"
            )

    def _ledger(self, manifest: Mapping[str, Any]) -> Ledger:
        return self.store.ledger(manifest)

    def _told(self, out: ForgetResult, opened: NextItemRun, change: Change) -> ForgetResult:
        out.change, out.n_shards = change, opened.options.settings.n_shards
        out.n_users, out.has_adapters = len(opened.data.sequences), bool(opened.state.learnt.adapters)
        out.slices = kept_slices(opened.state.learnt, change.first, opened.options.settings)
        return out


def _data(opened: NextItemRun, visible: VisibleData, added: AddedRows) -> NextItemData:
    return read_next_data(opened.options.data, opened.options.stem, visible, added)
