"""New interactions join a finished run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.system.signals import terminable
from recbole_apa.data.data_options import DataOptions
from recbole_apa.pipeline.plugins import PLUGINS, import_plugins
from recbole_apa.runs.ledger_lines import ADDED
from recbole_apa.runs.log import own_log
from recbole_apa.runs.names import KEY
from recbole_apa.runs.pinned_run import read_settled
from recbole_apa.unlearning.additions.incoming import Incoming
from recbole_apa.unlearning.additions.read import read_incoming
from recbole_apa.unlearning.additions.result import AddResult
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.machines import CHOICES, REFUSE
from recbole_apa.unlearning.outcome import UnlearnResult
from recbole_apa.unlearning.places import refuse_unreachable
from recbole_apa.unlearning.session import Session, at_run
from recbole_apa.unlearning.taken import taken

if TYPE_CHECKING:
    from recbole_apa.pipeline.build import RunResult
    from recbole_apa.unlearning.additions.grow import Grown
    from recbole_apa.unlearning.additions.read import Given


@terminable()
@own_log()
def add(
    run_dir: "str | Path | RunResult",
    interactions: "Given",
    *,
    columns: Mapping[str, object] | None = None,
    readmit: bool = False,
    dry_run: bool = False,
    config_dict: Mapping[str, object] | None = None,
    other_machine: str = REFUSE,
) -> AddResult:
    """Let new interactions join a finished run; first finishes what an interrupted call left waiting.

    Each shard goes on from what it has learnt, with the samples that it gets, as a further piece. From then on the run
    forgets added interactions as all others.

    Args:
        run_dir: the run's folder or URL; or the run itself if this process has it open.
        interactions: a file, or rows, for :func:`~recbole_apa.unlearning.additions.read.read_incoming`; ``columns``
            likewise.
        readmit: take rows that name something forgotten. What the dataset's own files hold of it stays hidden.
        dry_run: show the plan and change nothing.
        config_dict: where things are now, e.g. ``{"data_path": ...}``.
        other_machine: as for :func:`~recbole_apa.unlearning.stage.unlearn`.

    Raises:
        RequestError: malformed rows, or such as the run does not take, by line; nothing was changed.
        RunError: the run is damaged, in use, or made from other data.
    """
    import_plugins((config_dict or {}).get(PLUGINS))
    if other_machine not in CHOICES:
        raise SettingsError(f"other_machine: found {other_machine!r}, expected one of {', '.join(CHOICES)}")
    with at_run(run_dir, "adding", writes=not dry_run) as (store, opened):
        stage = _AddStage(store, config_dict, opened, other_machine, writes=not dry_run)
        return stage.add(interactions, columns, readmit, dry_run)


class _AddStage(Session):
    """One call of :func:`add`; the caller holds the lock."""

    def add(
        self, interactions: "Given", columns: Mapping[str, object] | None, readmit: bool, dry_run: bool
    ) -> AddResult:
        """Finish what waits, then carry out the addition. Malformed rows are refused before anything is loaded."""
        from recbole_apa.unlearning.additions.grow import grow
        from recbole_apa.unlearning.additions.plan import plan_of
        from recbole_apa.unlearning.additions.unfit_models import refuse_unfit

        incoming = self._read_by_index(interactions, columns)
        waited = UnlearnResult(None, finished=self.finished)
        lines = [] if dry_run else [*self.closed_now, *(e.position for e in self.finish_waiting(waited))]
        out = AddResult(None, finished=lines, certificates=waited.certificates, shown=self.store.storage.shown)
        opened = self.open_now()
        if incoming is None:
            incoming = self._read(opened, interactions, columns)
        out.position = self._done_now(lines, incoming)
        if out.position is not None:
            out.reopen = lambda: opened
            return out
        machines = self.machines(opened)
        machines.refuse_others(EXACT)
        grown = grow(opened, incoming, len(self.ledger.entries()) + 1, readmit)
        refuse_unfit(opened.config, opened.data.train_set.run_data, grown.made)
        out.plan = plan_of(opened, grown, incoming, machines.retrains)
        if not dry_run:
            self._carry_out(opened, incoming, grown, out)
        return out

    def _done_now(self, lines: Sequence[int], incoming: Incoming) -> int | None:
        """The line of the same addition, if this call finished it: the command was given again after it was
        interrupted."""
        from recbole_apa.unlearning.additions.incoming_files import rows_digest

        late = [e for e in self.ledger.additions() if e.position in lines]
        same = (e for e in late if e.content["rows"] == rows_digest(incoming, self.keys.key(e.content[KEY])))
        return next((e.position for e in same), None)

    def _read_by_index(self, interactions: "Given", columns: Mapping[str, object] | None) -> Incoming | None:
        """The rows, if the run's index says what they have to be; None if the run has none."""
        if not self.store.has_index():
            return None
        facts = read_settled(self.store, lambda pinned: pinned.open_index().facts)
        options = DataOptions.from_json(facts.about.options)
        return read_incoming(interactions, options.files, options.label, facts.has_times, columns)

    def _read(self, opened: "RunResult", interactions: "Given", columns: Mapping[str, object] | None) -> Incoming:
        made = opened.data.train_set.run_data
        return read_incoming(interactions, made.options.files, made.options.label, made.raw.times is not None, columns)

    def _carry_out(self, opened: "RunResult", incoming: Incoming, grown: "Grown", out: AddResult) -> None:
        from recbole_apa.unlearning.additions.carry_out import carry_out_addition
        from recbole_apa.unlearning.additions.grow import grow
        from recbole_apa.unlearning.additions.incoming_files import keep_incoming

        refuse_unreachable(self.store)
        self.key_old_digests()
        position = len(self.ledger.entries()) + 1
        if grown.addition.position != position:  # digests were keyed, which is a line of the ledger
            opened = self.open_now()
            grown = grow(opened, incoming, position, bool(grown.readmits))
        self.keep_key()
        key = self.keys.newest()
        content = {"n_rows": len(incoming), "readmits": sorted(grown.readmits), KEY: key.name}
        entry = self.ledger.append(ADDED, {**content, "rows": keep_incoming(self.store, incoming, key)})
        with taken(self.store):
            done = carry_out_addition(opened, entry, opened.config["show_progress"], grown, self.other_machine)
        self.opened = done.result
        out.position, out.figures, out.seconds = done.position, done.figures, done.seconds
        out.reopen = lambda: done.result
