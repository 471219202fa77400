"""The part of the unlearning stage that works from a run's index: no model and no RecBole, torch only if needed."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from recbole_apa.data.samples import Interactions
from recbole_apa.pipeline.indexed_run import IndexedRun
from recbole_apa.runs.ledger_lines import REQUEST
from recbole_apa.runs.remote.working_copy import open_place
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.approximate.known import EXACT
from recbole_apa.unlearning.collaborative import load_statistics
from recbole_apa.unlearning.light import Light, device_of, open_light, plan_light
from recbole_apa.unlearning.machines import RETRAIN, machines_of
from recbole_apa.unlearning.manner import Manner
from recbole_apa.unlearning.outcome import NewRequest, UnlearnResult
from recbole_apa.unlearning.places import refuse_unreachable
from recbole_apa.unlearning.requests.demands import Demand
from recbole_apa.unlearning.session import Session
from recbole_apa.unlearning.taken import taken
from recbole_apa.unlearning.touched import concerned_rows, interactions_of

if TYPE_CHECKING:
    from recbole_apa.pipeline.build import RunResult


class LightStage(Session, ABC):
    """Plans exact, inherited requests on a run that is not in RAM, and carries out those that change no sample."""

    manner: Manner

    @abstractmethod
    def _ask(
        self, rows: Interactions, demands: Sequence[Demand], others: Sequence[NewRequest] = ()
    ) -> tuple[NewRequest, list[str]]: ...

    def _reopen(self) -> "RunResult":
        """The run in its new state, after the call: a run on an object store is fetched again."""
        from recbole_apa.pipeline.build import open_run

        with open_place(self.store.place, "reading", writes=False) as storage:
            return open_run(RunStore(storage), self.changes, keys=self.keys)

    def _indexed(self) -> IndexedRun | None:
        """The run by its index, if that is enough for such requests and the run is not open yet."""
        if self.opened is not None or not self.manner.is_default:
            return None
        return open_light(self.store, self.changes or {}, self.keys)

    def _plan_light(self, run: IndexedRun, demands: Sequence[Demand]) -> tuple[Light, NewRequest, list[str]]:
        """The plan of an exact, inherited request, the request, and what was left out."""
        rows = concerned_rows(run, demands)
        asked, left = self._ask(interactions_of(run, rows), demands)
        return plan_light(run, asked, rows, asked.demands), asked, left

    def _run_light(self, demands: Sequence[Demand], out: UnlearnResult) -> bool:
        """Carry out a request that leaves every sample; False if it is another one, and nothing was done."""
        from recbole_apa.unlearning.untouched import carry_out_untouched, stays_as_it_is

        run = self._indexed()
        if run is None:
            return False
        light, asked, left = self._plan_light(run, demands)
        machines = machines_of(self.store, device_of(run, self.changes or {}), self.other_machine)
        if not stays_as_it_is(run, light, machines):
            return False
        statistics = load_statistics(run)
        if statistics and not statistics.content_stays:
            return False  # a changed column of items is refused where the run is opened
        light = replace(light, statistics=statistics)
        refuse_unreachable(self.store)
        self.keep_key()
        entry = self.ledger.append(REQUEST, asked.content)
        with taken(self.store):
            done = carry_out_untouched(run, self.store, entry, light, machines, self._reopen)
        out.plan = done.plan
        out.left += left
        out.outcomes.append(done)
        return True

    def _dry_light(self, run: IndexedRun, demands: Sequence[Demand]) -> UnlearnResult:
        light, _, left = self._plan_light(run, demands)
        plan = light.plan
        if plan.affected or self.other_machine == RETRAIN:  # otherwise nothing is computed on this machine
            machines = machines_of(self.store, device_of(run, self.changes or {}), self.other_machine)
            machines.refuse_others(EXACT)
            if machines.retrains:
                plan.retrain_all()
        return UnlearnResult(plan, left=left)
