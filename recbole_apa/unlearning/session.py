"""One call that works on a finished run: what it opens, and what an interrupted call left for it to finish."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.evidence import KEY_FILE, key_ring
from recbole_apa.runs.ledger import Entry, Ledger, refuse_gap, refuse_pending
from recbole_apa.runs.ledger_lines import ADDED, CAUGHT_UP
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log_places import open_log
from recbole_apa.runs.remote.working_copy import open_place
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.finish import finish_commit
from recbole_apa.unlearning.key_digests import are_salted, key_digests
from recbole_apa.unlearning.machines import REFUSE, Machines, machines_of
from recbole_apa.unlearning.outcome import UnlearnResult
from recbole_apa.unlearning.taken import taken

if TYPE_CHECKING:
    from recbole_apa.pipeline.build import RunResult


@contextmanager
def at_run(
    run_dir: "str | Path | RunResult", purpose: str, writes: bool
) -> "Iterator[tuple[RunStore, RunResult | None]]":
    """A run, locked while it is worked on, and the run itself if it is in RAM.

    Args:
        run_dir: the run's folder or URL, or the run itself.
        purpose: for whoever finds it locked.

    Raises:
        RunError: no run, or in use.
    """
    opened = None if isinstance(run_dir, (str, os.PathLike)) else run_dir
    place = run_dir if isinstance(run_dir, (str, os.PathLike)) else run_dir.store.storage
    if opened:
        open_log(opened.config)
    with open_place(place, purpose, writes=writes) as storage:
        store = RunStore(storage)
        store.manifest()
        with run_lock(storage.folder, purpose, writes=writes):
            yield store, opened


class Session:
    """One call on a run; the caller holds the lock.

    Args:
        store: where the run is.
        changes: where things are now.
        opened: the run, if it is in RAM already.
        writes: finish what a kill interrupted; if false, a run with a waiting request is rejected.
        catches_up: whether the call trains what requests at once have left.
    """

    def __init__(
        self,
        store: RunStore,
        changes: Mapping[str, object] | None,
        opened: "RunResult | None",
        other_machine: str = REFUSE,
        writes: bool = True,
        catches_up: bool = False,
    ) -> None:
        self.other_machine = other_machine
        self.store, self.changes, self.opened = store, changes, opened
        self.keys = opened.keys if opened and not (changes or {}).get(KEY_FILE) else key_ring(changes)
        self.ledger = Ledger(store.storage, store.salt)
        waiting = {e.position for e in self.ledger.waiting()}
        if not writes:
            refuse_pending(store)
        with taken(store):
            self.finished = finish_commit(store, self.ledger, self.keys, catches_up) if writes else []
        refuse_gap(store, self.keys)
        self.closed_now = sorted(waiting - {e.position for e in self.ledger.waiting()})
        """Lines of what was complete but for its last steps, which were made now."""

    def finish_waiting(self, out: UnlearnResult) -> list[Entry]:
        """Carry out the requests, or the addition, that a kill left in the ledger: never both, as every call first
        finishes what waits.

        Args:
            out: gets their outcomes.

        Returns:
            their lines.
        """
        left = self.ledger.waiting()
        if not left:
            return []
        opened = self.load(allow_pending=True)
        show = opened.config["show_progress"]
        if left[0].kind == CAUGHT_UP:
            from recbole_apa.unlearning.catching_up import carry_out_catch_up

            with taken(self.store):
                out.caught_up = carry_out_catch_up(opened, show, self.other_machine, left[0])
            self.opened = out.caught_up.result
            return left
        if left[0].kind == ADDED:
            from recbole_apa.unlearning.additions.carry_out import carry_out_addition

            with taken(self.store):
                self.opened = carry_out_addition(opened, left[0], show, other_machine=self.other_machine).result
            out.additions.append(left[0].position)
            return left
        from recbole_apa.unlearning.exact import carry_out  # it loads RecBole, torch and transformers

        with taken(self.store):
            out.outcomes.append(carry_out(opened, left, show, other_machine=self.other_machine))
        self.opened = out.outcomes[-1].result
        return left

    def key_old_digests(self) -> None:
        """Key digests that an older version only salted, before anything is added."""
        if are_salted(self.store, self.ledger):
            self.keep_key()
            key_digests(self.store, self.ledger, self.keys.newest())

    def keep_key(self) -> None:
        """Make sure that the key is on disk before anything is keyed with it."""
        self.keys.outside(self.store.folder)
        self.keys.keep(self.keys.newest())

    def machines(self, opened: "RunResult") -> Machines:
        """This machine, and those that the run comes from."""
        return machines_of(self.store, opened.model.engine.decoder.device, self.other_machine)

    def open_now(self) -> "RunResult":
        """The run with its current data."""
        if self.opened is None or self.is_stale(self.opened):
            return self.load()
        self.store.check()
        self.opened.trainer.store = self.store  # for a run on an object store, this call's working copy
        return self.opened

    def load(self, allow_pending: bool = False) -> "RunResult":
        """The run, from its folder."""
        from recbole_apa.pipeline.build import open_run

        return open_run(self.store, self.changes, allow_pending, self.keys)

    def is_stale(self, opened: "RunResult") -> bool:
        """Whether requests or additions led to another state since the run was opened."""
        return opened.served != tuple(self.store.manifest().get("served_requests", ()))
