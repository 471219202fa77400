"""The unlearning stage of a run: accept a request, show what it costs, carry it out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.core.system.signals import terminable
from recbole_apa.data.forgotten import Digester, Forgotten
from recbole_apa.data.samples import Interactions
from recbole_apa.evidence.exactness import FRESH, INHERITED, LEVELS
from recbole_apa.pipeline.plugins import PLUGINS, import_plugins
from recbole_apa.runs.ledger import Entry, Request, visible_without
from recbole_apa.runs.ledger_lines import REQUEST
from recbole_apa.runs.log import own_log
from recbole_apa.runs.names import KEY, TO_MAKE
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.approximate.known import EXACT, check_method
from recbole_apa.unlearning.at_once import AT_ONCE, refuse_with
from recbole_apa.unlearning.light_stage import LightStage
from recbole_apa.unlearning.machines import CHOICES, REFUSE
from recbole_apa.unlearning.manner import PLAIN, Manner, refuse_other_manner
from recbole_apa.unlearning.outcome import NewRequest, UnlearnResult
from recbole_apa.unlearning.places import refuse_unreachable
from recbole_apa.unlearning.plan import settle_shards
from recbole_apa.unlearning.prepare import data_without, prepare
from recbole_apa.unlearning.redraw import new_shards
from recbole_apa.unlearning.requests.done_before import repeated, without_done
from recbole_apa.unlearning.requests.groups import groups_of
from recbole_apa.unlearning.requests.lookup import Demand, find, named_demands
from recbole_apa.unlearning.requests.scopes import covered_by, covers, request_digests
from recbole_apa.unlearning.session import at_run
from recbole_apa.unlearning.taken import taken
from recbole_apa.unlearning.touched import concerned_rows, interactions_of

if TYPE_CHECKING:
    from recbole_apa.data.loaders import Loaders
    from recbole_apa.pipeline.build import RunResult


@terminable()
@own_log()
def unlearn(
    run_dir: "str | Path | RunResult",
    requests: str | Path | Sequence[str | Path] | None = None,
    *,
    users: Iterable[object] = (),
    items: Iterable[object] = (),
    interactions: Iterable[Sequence[object]] = (),
    exactness: str = INHERITED,
    method: str = EXACT,
    skip_unknown: bool = False,
    dry_run: bool = False,
    config_dict: Mapping[str, object] | None = None,
    columns: Mapping[str, object] | None = None,
    ids: Mapping[str, str | Path] | None = None,
    other_machine: str = REFUSE,
    at_once: bool = False,
) -> UnlearnResult:
    """Make a finished run forget; first finishes what an interrupted call left waiting.

    Args:
        run_dir: the run's folder or URL; or the run itself if this process has it open (what ``run`` returned, or the
            ``result`` of the last outcome): then nothing is loaded and no frozen pass is computed again.
        requests: a file for :func:`~recbole_apa.unlearning.requests.files.read_demands`, and ``columns`` for it too;
            or several, each of them a request with a certificate of its own, carried out together: each shard restarts
            once. Of several, those that were carried out before are passed over, and listed.
        users, items, interactions: tokens; interactions as (user, item) or (user, item, timestamp).
        exactness: ``inherited`` (the paper), ``strict`` (the partition is also computed again) or ``fresh`` (split and
            draw as well): :data:`~recbole_apa.evidence.exactness.DEFINITIONS`.
        method: ``exact``, or one of :data:`~recbole_apa.unlearning.approximate.APPROXIMATE_METHODS`: the affected
            adapters are then moved, not trained again, and neither audit nor verification holds.
        skip_unknown: forget what can be found and list the rest, instead of rejecting the whole request.
        dry_run: show the plan and change nothing.
        config_dict: where things are now, e.g. ``{"data_path": ...}``.
        ids: files that map the request's ids to ours (:func:`~recbole_apa.unlearning.requests.ids.map_ids`).
        other_machine: what to do if the run was computed on another kind of machine, which rounds differently
            (:class:`~recbole_apa.core.system.machine.MachineKind`): ``refuse``; ``retrain`` all shards here, which is
            exact again; or ``accept`` a certificate that does not promise equal bits.
        at_once: train nothing: affected shards serve their adapters from before the first slice that saw what is
            forgotten, until :func:`~recbole_apa.unlearning.catching_up.catch_up`.

    Raises:
        RequestError: malformed, unknown or served before, by line; nothing was changed.
        RunError: the run is damaged, in use, or made from other data.
    """
    import_plugins((config_dict or {}).get(PLUGINS))
    if exactness not in LEVELS:
        raise SettingsError(f"exactness: found {exactness!r}, expected {', '.join(LEVELS[:-1])} or {LEVELS[-1]}")
    check_method(method)
    if method != EXACT and exactness != INHERITED:
        raise SettingsError(f"exactness: {exactness} needs unlearn_method: {EXACT}, found {method}")
    if other_machine not in CHOICES:
        raise SettingsError(f"other_machine: found {other_machine!r}, expected one of {', '.join(CHOICES)}")
    if at_once:
        refuse_with(exactness, method, other_machine)
    groups = groups_of(requests, named_demands(users, items, interactions), columns, ids)
    with at_run(run_dir, "unlearning", writes=not dry_run) as (store, opened):
        is_gathered = bool(requests) and not isinstance(requests, (str, Path))
        manner = Manner(exactness, method, skip_unknown, at_once, passes_over=is_gathered)
        session = Stage(store, config_dict, opened, manner, other_machine, writes=not dry_run)
        return (session.dry_run if dry_run else session.run)(groups)


def data_left(
    opened: "RunResult",
    users: Iterable[object] = (),
    items: Iterable[object] = (),
    interactions: Iterable[Sequence[object]] = (),
) -> "Loaders":
    """The loaders that :func:`unlearn` would leave, given the same request; nothing is recorded or changed.

    Raises:
        RequestError: as :func:`unlearn`.
        RunError: a request or an addition is waiting, or was carried out only in part.
    """
    session = Stage(RunStore(opened.store.storage), None, opened, writes=False)
    rows = opened.data.train_set.raw_interactions
    asked, _ = session._ask(rows, named_demands(users, items, interactions))
    return data_without(opened, [asked], asked.demands)


class Stage(LightStage):
    """One call of :func:`unlearn`; the caller holds the lock.

    Args:
        manner: how its requests are made.
        writes: finish what a kill interrupted; if false, a run with a waiting request is rejected.
    """

    def __init__(
        self,
        store: RunStore,
        changes: Mapping[str, object] | None,
        opened: "RunResult | None",
        manner: Manner = PLAIN,
        other_machine: str = REFUSE,
        writes: bool = True,
    ) -> None:
        super().__init__(store, changes, opened, other_machine, writes)
        self.manner = manner

    def run(self, groups: Sequence[Sequence[Demand]]) -> UnlearnResult:
        """Carry out what waits, then the new requests, each a group of demands, together."""
        out = UnlearnResult(None, finished=self.finished, shown=self.store.storage.shown)
        out.additions += [e.position for e in self.ledger.additions() if e.position in self.closed_now]
        if self.ledger.waiting():
            self.key_old_digests()
        left = [e for e in self.ledger.waiting() if e.kind == REQUEST]
        late = [e for e in self.ledger.requests() if e.position in self.closed_now]
        named = [demand for group in groups for demand in group]
        refuse_other_manner(named, [*left, *late], self.manner, self._served)
        waited = self.finish_waiting(out)
        now = [new for group in groups if (new := self._not_done_now(group, left))]
        groups = self._not_done_before(now, out)
        if groups:
            self._refuse_in_pieces()
        if len(groups) == 1 and self._run_light(groups[0], out):
            return out
        if groups:
            self.machines(opened := self.open_now()).refuse_others(self.manner.method)
            asked, skipped = self._ask_all(opened, groups)
            out.left += skipped
            demands = [demand for one in asked for demand in one.demands]
            prepared = prepare(opened, asked, demands)  # rejects requests that would leave nothing
            out.plan = prepared.plan
            refuse_unreachable(self.store)
            self.key_old_digests()
            self.keep_key()
            entries, show = [self.ledger.append(REQUEST, one.content) for one in asked], opened.config["show_progress"]
            from recbole_apa.unlearning.exact import carry_out

            with taken(self.store):
                out.outcomes.append(carry_out(opened, entries, show, prepared, self.other_machine))
            out.plan = out.outcomes[-1].plan  # now includes a new partition
        elif not waited and not self.closed_now and not out.left:
            later = ", or --catch_up, for what requests at once left" if TO_MAKE in self.store.manifest() else ""
            raise RequestError(
                "found no request, and no interrupted request or addition that waits; expected --unlearn=FILE, "
                f"--forget_users, --forget_items or --forget_interactions{later}"
            )
        return out

    def _not_done_now(self, demands: Sequence[Demand], waited: Sequence[Entry]) -> list[Demand]:
        """Demands that the waiting requests did not already name: the same command may have been given again."""
        late = [e for e in self.ledger.requests() if e.position in self.closed_now]
        served = self._served([*waited, *late])
        return [demand for demand in demands if not any(covers(demand, part) for part in served)]

    def _not_done_before(self, groups: Sequence[Sequence[Demand]], out: UnlearnResult) -> list[Sequence[Demand]]:
        """Requests without those that were carried out before, which are listed."""
        if not self.manner.passes_over or not self.ledger.requests():
            return list(groups)
        earlier, run = self._served(self.ledger.requests()), self._indexed()

        def rows_of(demands: Sequence[Demand]) -> Interactions:
            if run is None:
                return self.open_now().data.train_set.raw_interactions
            return interactions_of(run, concerned_rows(run, demands))

        new, told = without_done(groups, rows_of, covered_by(earlier))
        out.left += told
        return new

    def _refuse_in_pieces(self) -> None:
        """
        Raises:
            SettingsError: an approximate method, on a run that has grown or serves prefixes.
        """
        method = self.manner.method
        if method != EXACT and self.store.load_pieces():
            raise SettingsError(
                f"unlearn_method: found {method} on a run that has grown, whose shards were trained in several pieces; "
                f"expected {EXACT}. (After a request with exactness: {FRESH} each shard is of one piece again.)"
            )
        if method != EXACT and self.store.load_prefixes():
            raise SettingsError(
                f"unlearn_method: found {method} on a run whose shards lack slices, as a request was carried out at "
                f"once; expected {EXACT}, or --catch_up first"
            )

    def dry_run(self, groups: Sequence[Sequence[Demand]]) -> UnlearnResult:
        """The plan of requests, without carrying them out."""
        self._refuse_in_pieces()
        groups = self._not_done_before(groups, passed := UnlearnResult(None))
        if passed.left and not groups:
            return passed
        run = self._indexed() if len(groups) < 2 else None
        if run is not None:
            told = self._dry_light(run, groups[0] if groups else [])
            return replace(told, left=[*passed.left, *told.left])
        opened = self.open_now()
        machines = self.machines(opened)
        machines.refuse_others(self.manner.method)
        asked, left = self._ask_all(opened, groups or [[]])
        prepared = prepare(opened, asked, [demand for one in asked for demand in one.demands])
        plan = prepared.plan
        if self.manner.exactness != INHERITED:
            partition, shards = new_shards(opened, self.store, prepared.data, self.manner.exactness)
            settle_shards(plan, partition.sizes(), shards, self.store.manifest().get("full_training", {}))
        if machines.retrains:
            plan.retrain_all()
        return UnlearnResult(plan, left=[*passed.left, *left])

    def _ask_all(self, opened: "RunResult", groups: Sequence[Sequence[Demand]]) -> tuple[list[NewRequest], list[str]]:
        """As :meth:`_ask`, for each group of demands, in what those before it leave. Of files, one that says nothing
        but what those before it say is passed over."""
        part, asked, left = opened.data.train_set, list[NewRequest](), list[str]()
        rows, added = part.raw_interactions, part.run_data.added_at
        for demands in groups:
            if asked and self.manner.passes_over and (told := repeated(demands, rows, covered_by(self._served(asked)))):
                left.append(told)
                continue
            one, skipped = self._ask(rows, demands, asked)
            asked.append(one)
            left += skipped
            hidden = part.visible_data.without(visible_without([one], self.store.salt, self.keys))
            shown = np.flatnonzero(hidden.visible(rows, added))
            rows, added = rows.take(shown), None if added is None else added[shown]
        return asked, left

    def _ask(
        self, rows: Interactions, demands: Sequence[Demand], others: Sequence[NewRequest] = ()
    ) -> tuple[NewRequest, list[str]]:
        """The request as the ledger will record it (digests only), and what was left out.

        Args:
            rows: all that may be meant, unfiltered: a row that a filter drops now may come in later, in place of a
                forgotten one.
            others: requests of this call, of which this one may name the same.
        """
        digester = Digester(self.store.salt, self.keys.newest())
        earlier = self._served([*self.ledger.requests(), *others])
        found = find(demands, rows, covered_by(earlier), self.manner.skip_unknown)
        content = {**request_digests(found, rows, digester), KEY: self.keys.newest().name}
        content |= {"exactness": self.manner.exactness, "method": self.manner.method}
        told = {**content, AT_ONCE: True} if self.manner.at_once else content
        return NewRequest(told, found.demands), found.left

    def _served(self, entries: Sequence[Request]) -> tuple[Forgotten, ...]:
        """What earlier requests named."""
        return visible_without(entries, self.store.salt, self.keys, recognises=False).forgotten
