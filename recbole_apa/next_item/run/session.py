"""One call that changes a run of APANext: it finishes what waits, and carries out requests, additions, catching up."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from recbole_apa.core.errors import DataError, RequestError
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evidence import key_ring
from recbole_apa.evidence.exactness import FRESH, INHERITED
from recbole_apa.next_item.added_rows import AddedRows
from recbole_apa.next_item.change import Change, Exchange, changed_sums, exchange_of
from recbole_apa.next_item.data import read_next_data
from recbole_apa.next_item.run.added_files import kept_incoming
from recbole_apa.next_item.run.asked import Asking, Groups
from recbole_apa.next_item.run.draft_files import delete_drafts
from recbole_apa.next_item.run.opened import NextItemRun, open_state, visible_of
from recbole_apa.next_item.run.pending import finish_request, refuse_edited, refuse_waiting, without_last_steps
from recbole_apa.next_item.run.put_in_force import Transition, put_caught_up, put_grown_state, put_new_state
from recbole_apa.next_item.run.refusals import refuse_other_machine, refuse_unfit
from recbole_apa.next_item.run.result import ForgetResult
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import changed_run, completed_run, evaluate, trained
from recbole_apa.next_item.title_adapters import refuse_device
from recbole_apa.next_item.title_slices import kept_slices
from recbole_apa.runs.ledger import Entry, Ledger, Request, visible_without
from recbole_apa.runs.ledger_lines import ADDED, CAUGHT_UP, REQUEST
from recbole_apa.runs.names import KEY
from recbole_apa.unlearning.at_once import is_at_once
from recbole_apa.unlearning.manner import PLAIN, Manner
from recbole_apa.unlearning.requests.scopes import covers

_NO_REQUEST = "found no request: expected --unlearn=FILE, --forget_users, --forget_items or --forget_interactions"


class Session:
    """One call; the caller holds the lock.

    Args:
        changes: where things are now, and who is trusted.
        manner: how its requests are made; an addition and catching up have none.
    """

    def __init__(self, store: NextItemStore, changes: Mapping[str, object], manner: Manner = PLAIN) -> None:
        self.store, self.changes, self.manner, self.keys = store, changes, manner, key_ring(changes)
        self._asking = Asking(store, self.keys, manner)

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
            raise RequestError(f"{_NO_REQUEST}; no interrupted request or addition is waiting either")
        return out

    def _take(self, groups: Groups, out: ForgetResult) -> None:
        """Find what is asked for, write it into the ledger, and carry it out."""
        opened = open_state(self.store, self.changes, self.keys)
        asked = self._asking.ask(opened, groups)
        out.left = asked.left
        if not asked.requests:
            return
        out.is_at_once = self.manner.at_once
        made = self._without(opened, asked.requests)
        self.refuse_unfit(opened, made)
        self.keys.outside(self.store.folder)
        self.keys.keep(self.keys.newest())
        ledger = self._ledger(self.store.manifest())
        self._carry_out([ledger.append(REQUEST, one.content) for one in asked.requests], out, opened, made)

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
                self._carry_out_waiting(list(entries), out)
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
        if self.manner.exactness == FRESH:
            run = trained(opened.options, opened.data, known=opened)
        else:
            refuse_other_machine(opened, manifest)
            run = completed_run(opened)
        key = self.keys.key(str(manifest[KEY]))
        entry = entry or self._ledger(manifest).append(CAUGHT_UP, {KEY: key.name})
        put_caught_up(self.store, run, entry, self.manner.exactness)
        finish_request(self.store, self.store.manifest(), self.keys)
        out.caught_up, out.run = sorted(opened.state.learnt.ends), run
        out.n_shards, out.seconds = opened.options.settings.n_shards, out.seconds + time.perf_counter() - start

    def dry_run(self, groups: Groups) -> ForgetResult:
        """What requests would change."""
        if not any(groups):
            raise RequestError(_NO_REQUEST)
        refuse_waiting(self.store, self.store.manifest())
        opened = open_state(self.store, self.changes, self.keys)
        asked = self._asking.ask(opened, groups)
        out = ForgetResult(n_interactions=asked.n_interactions, left=asked.left, is_dry=True)
        if not asked.requests:
            return out
        out.is_at_once = self.manner.at_once
        return self._told(out, opened, self._without(opened, asked.requests).change)

    def _grow_waiting(self, entry: Entry, out: ForgetResult) -> None:
        opened = open_state(self.store, self.changes, self.keys)
        rows = kept_incoming(self.store, str(entry.content["rows"]), self.keys.key(str(entry.content[KEY])))
        grown = self.grow(entry, opened, self.with_rows(opened, rows))
        out.finished_additions.append(entry.position)
        out.caught_up, out.run = grown.caught_up or out.caught_up, grown.after
        out.n_shards, out.seconds = grown.after.options.settings.n_shards, out.seconds + grown.seconds

    def grow(self, entry: Entry, opened: NextItemRun, made: Exchange) -> Transition:
        """Carry out an addition that the ledger has taken.

        Args:
            made: as :meth:`with_rows` gave it.
        """
        start = time.perf_counter()
        run = self._retrained(opened, made, INHERITED, at_once=False)
        evaluate(opened)
        grown = Transition(opened, run, made.change, [entry], INHERITED, time.perf_counter() - start)
        put_grown_state(self.store, grown)
        finish_request(self.store, self.store.manifest(), self.keys)
        return grown

    def with_rows(self, opened: NextItemRun, rows: AddedRows) -> Exchange:
        """To the data with rows that join."""
        visible = visible_of(self.store, self.store.manifest(), self.keys)
        return _exchange(opened, visible, opened.data.added.plus(rows))

    def _without(self, opened: NextItemRun, requests: Iterable[Request]) -> Exchange:
        """To the data without what requests name as well."""
        salt = str(self.store.manifest()["salt"])
        before = visible_of(self.store, self.store.manifest(), self.keys)
        return _exchange(opened, before.without(visible_without(requests, salt, self.keys)), opened.data.added)

    def refuse_unfit(self, opened: NextItemRun, made: Exchange) -> None:
        """Refuse, before it is in the ledger, what could not be carried out: it would wait for ever."""
        refuse_unfit(opened, made, self.manner.exactness, self.store.manifest())

    def _level(self, entries: Sequence[Entry]) -> str:
        """Waiting requests are carried out as they were made, or with ``fresh``, which takes over less, if that is
        asked for now: there may be one that nothing else can finish here."""
        return FRESH if FRESH in (self.manner.exactness, *(e.content["exactness"] for e in entries)) else INHERITED

    def _carry_out_waiting(self, entries: Sequence[Entry], out: ForgetResult) -> None:
        opened = open_state(self.store, self.changes, self.keys)
        self._carry_out(entries, out, opened, self._without(opened, entries))

    def _carry_out(self, entries: Sequence[Entry], out: ForgetResult, opened: NextItemRun, made: Exchange) -> None:
        """Carry out requests together.

        Args:
            made: as :meth:`_without` gave it.
        """
        start = time.perf_counter()
        manifest, change = self.store.manifest(), made.change
        level = self._level(entries)
        at_once = level == INHERITED and is_at_once(entries)
        delete_drafts(self.store.state_folder(manifest), change.shards)
        run = self._retrained(opened, made, level, at_once)
        if level == FRESH:
            change = replace(change, shards=changed_sums(opened.state, run.state), first={})
        evaluate(opened)
        seconds = time.perf_counter() - start
        done = Transition(opened, run, change, entries, level, seconds)
        put_new_state(self.store, done, self.keys)
        out.caught_up = done.caught_up or out.caught_up
        out.certificates += finish_request(self.store, self.store.manifest(), self.keys)
        out.n_interactions += sum(len(entry.content["interactions"]) for entry in entries)
        out.seconds, out.run = out.seconds + seconds, run
        self._told(out, opened, change)

    def _retrained(self, opened: NextItemRun, made: Exchange, level: str, at_once: bool) -> NextItemRun:
        if level == FRESH:
            return trained(opened.options, made.new, known=opened)
        refuse_other_machine(opened, self.store.manifest())
        return changed_run(opened, made, at_once)

    def _ledger(self, manifest: Mapping[str, Any]) -> Ledger:
        return self.store.ledger(manifest)

    def _told(self, out: ForgetResult, opened: NextItemRun, change: Change) -> ForgetResult:
        out.change, out.n_shards = change, opened.options.settings.n_shards
        out.n_users, out.has_adapters = len(opened.data.sequences), bool(opened.state.learnt.adapters)
        out.slices = kept_slices(opened.state.learnt, change.first, opened.options.settings)
        return out


def _exchange(opened: NextItemRun, visible: VisibleData, added: AddedRows) -> Exchange:
    try:
        new = read_next_data(opened.options.data, opened.options.stem, visible, added)
    except DataError as error:  # the run has just been opened with the same files
        raise DataError(f"nothing to train on would be left; to forget all of it, delete the run ({error})") from None
    return exchange_of(opened.state, opened.data, new, opened.options.settings)
