"""Exact and approximate unlearning of the same request, side by side: how close each comes to retraining, and at what
cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from logging import getLogger
from pathlib import Path

import numpy as np

from recbole_apa.comparison.context import ComparisonContext, context_in
from recbole_apa.comparison.forget_task import ForgetRequest, open_task
from recbole_apa.comparison.measured import kept_scores
from recbole_apa.comparison.methods.sharded import AdapterMethod
from recbole_apa.comparison.registry import ADAPTERS, rests_on_evidence
from recbole_apa.comparison.report.forgetting import write_forgetting
from recbole_apa.comparison.row import (
    DONE,
    FAILED,
    REFERENCE,
    Row,
    RowStore,
    code_digest,
    deciding_options,
    peak_memory,
    problems,
    row_key,
)
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.options import nearest
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.data.loaders import Loaders
from recbole_apa.evaluation.measures import FORGETTING_MEASURES, Seen, Taken, take
from recbole_apa.pipeline.build import RunResult
from recbole_apa.pipeline.plugins import import_plugins_of
from recbole_apa.pipeline.recbole_names import CLOSE
from recbole_apa.runs.log import own_log
from recbole_apa.unlearning.approximate import APPROXIMATE_METHODS, ApproximateUnlearner
from recbole_apa.unlearning.approximate.method_names import is_approximate, parse_choice

ORIGINAL, OTHER_SEED = "Original (do nothing)", "Retraining, another seed"
ALWAYS = (ORIGINAL, REFERENCE, OTHER_SEED)
JUDGED = ("forget", "retain", "neighbours", "test")
OUT_MODELS = 2
"""Models trained without the data, with seeds of their own, that membership attacks compare every row with."""
Answers = dict[str, np.ndarray]
"""Scores by part."""


@dataclass(frozen=True)
class _Cost:
    """Of all requests together."""

    seconds: float | None
    """None if the row is not a way of forgetting."""
    peak_bytes: int = 0


@dataclass
class Forgetting:
    """Result of :func:`compare_forgetting`."""

    rows: list[Row]
    folder: Path
    table: str
    """For a terminal."""

    @property
    def problems(self) -> list[str]:
        """What went wrong, in a line each: rows that failed, and measures that could not be taken."""
        return problems(self.rows)


@own_log()
def compare_forgetting(
    names: Sequence[str],
    request: ForgetRequest,
    dataset: str = "ml-100k",
    config_file_list: Sequence[str] = (),
    config_dict: Mapping[str, object] | None = None,
    seeds: int = 1,
    folder: str | Path | None = None,
    redraw: bool = False,
) -> Forgetting:
    """Forget the same training data with several methods, and measure each against retraining.

    Args:
        names: approximate methods, optionally with settings (``NPO:rate_share=0.3``), and the comparison's methods with
            adapters (``APA(D)``, ``SISA``, ...). The rows ``Original``, ``Retraining`` and ``Retraining, another
            seed`` are always included.
        request: what to forget; drawn again with each seed.
        folder: where rows, table and the report go (default ``saved/forget-<dataset>``); rows already there are not
            computed again.
        redraw: each seed also draws other samples.

    Raises:
        SettingsError: a name that is neither, or settings that the method does not have.
    """
    import_plugins_of(config_file_list, config_dict or {})
    approximate = {name for name in names if is_approximate(name)}
    for name in approximate:
        parse_choice(name)
    adapters = [name for name in ADAPTERS if not rests_on_evidence(name)]  # scores here are the adapters' own
    unknown = sorted(set(names) - approximate - set(adapters))
    if unknown:
        known = [*APPROXIMATE_METHODS, *adapters]
        near = nearest(unknown[0].partition(":")[0], known, CLOSE)
        raise SettingsError(
            f"found {', '.join(unknown)}; expected methods that forget with an adapter: {', '.join(known)}"
            + (f"; did you mean {near!r}?" if near else "")
        )
    target = Path(folder) if folder else Path("saved") / f"forget-{dataset}"
    with context_in(target, dataset, config_file_list, config_dict or {}, redraw) as context:
        first = context.config["seed"]
        rows = [
            row
            for seed in range(first, first + seeds)
            for row in _Round(context.drawn_for(seed), request, seed, RowStore(target)).rows(list(dict.fromkeys(names)))
        ]
        table = write_forgetting(target, rows, redraw)
    return Forgetting(rows, target, table)


class _Round:
    """One seed: the same requests and the same original model for all methods."""

    def __init__(self, context: ComparisonContext, request: ForgetRequest, seed: int, store: RowStore) -> None:
        self.context, self.request, self.seed, self.store = context, request, seed, store
        options = deciding_options(context.config.plain_options())
        self.settings = {"options": options, "request": asdict(request), "out_models": OUT_MODELS}

    def rows(self, names: Sequence[str]) -> list[Row]:
        """From the store, or measured now; each is saved as soon as it is done."""
        wanted = [*ALWAYS, *(n for n in names if n not in ALWAYS)]
        known = {name: found for name in wanted if (found := self.store.find(name, self.seed, self._key(name)))}
        if len(known) < len(wanted):
            self._begin()
            for name in (n for n in wanted if n not in known):
                known[name] = self._row(name)
                self.store.save(known[name], self._key(name))
        return [known[name] for name in wanted]

    def _key(self, name: str) -> str:
        return row_key(self.settings | {"method": settings_of(name)}, self.context.rows_digest)

    def _begin(self) -> None:
        """Train the original model, draw the task, and train the models without the data: those that are rows, and the
        out-models, which are not, so that they are the same for all rows."""
        original = self._method(REFERENCE, self.seed)
        self.original, made = original, original.made
        self.task = open_task(made, self.context.data.valid_set, self.request, self.seed)
        self.factors, cache = made.model.engine.bank.extract(0), made.model.engine.cache
        self.before = self._answers(original, REFERENCE)
        self.retrained: dict[str, Answers] = {}
        self.costs: dict[str, _Cost] = {ORIGINAL: _Cost(0.0), OTHER_SEED: _Cost(None)}
        self.retrained[REFERENCE], self.costs[REFERENCE] = self._retrained(original)
        # forgetting purged the frozen activations; give the approximate methods the same ones as retraining had
        made.model.engine.cache = cache
        left = original.made.data
        self.retrained[OTHER_SEED], *self.out_models = (
            self._answers(self._method(REFERENCE, self.seed + i, left), REFERENCE) for i in range(1, OUT_MODELS + 2)
        )

    def _row(self, name: str) -> Row:
        getLogger().info(f"{name}: seed {self.seed}")
        try:
            taken, scores = self._measured(name)
        except Exception as error:  # whatever a method raises becomes its row's reason and does not stop the table
            says = f"{type(error).__name__}: {error}"
            getLogger().warning(f"{name}, seed {self.seed} failed: {says}")
            return Row(name, self.seed, FAILED, says)
        digests = {"settings": self._key(name), "data": self.context.rows_digest, "code": code_digest()}
        row = Row(name, self.seed, DONE, "", taken.figures, kept_scores(scores), digests, taken.faults)
        machine = machine_kind(self.context.config["device"]).text()
        return replace(row, settings=settings_of(name), machine=machine)

    def _measured(self, name: str) -> tuple[Taken, np.ndarray]:
        before, goal = self.before, self.retrained[REFERENCE]
        if name == ORIGINAL:
            after, cost = before, self.costs[name]
        elif name in self.retrained:
            after, cost = self.retrained[name], self.costs[name]
        elif is_approximate(name):
            cost = self._approximate(name, self.original.made)
            after = self._answers(self.original, REFERENCE)
        else:
            after, cost, before, goal = self._sharded(name)
        judged = self.task.judged
        labels = {part: judged[part].labels for part in JUDGED}
        taken = figures_of(Seen(after, before, goal, self.out_models, labels), len(judged["forget"]))
        figures = taken.figures
        figures["n_requests"] = len(self.task.steps)
        if cost.seconds is not None:
            figures["unlearn_seconds"] = round(cost.seconds, 3)
        if cost.peak_bytes:
            figures["peak_memory_bytes"] = cost.peak_bytes
        return taken, after["test"]

    def _method(self, name: str, seed: int, data: Loaders | None = None) -> AdapterMethod:
        changes, serving = ADAPTERS[name]
        method = AdapterMethod(self.context, {name: serving}, changes)
        if data is None:
            method.fit(seed)
        else:
            method.fit_on(data, seed)
        return method

    def _answers(self, method: AdapterMethod, name: str) -> Answers:
        serving = method.servings[name]
        return {
            part: method.answer(self.task.judged[part].prompts, serving, f"Score {part}").numpy()
            for part in JUDGED
            if len(self.task.judged[part])
        }

    def _approximate(self, name: str, made: RunResult) -> _Cost:
        """One request after another, each starting from the adapter that the last one left; it stays in the model."""
        choice, factors, level = parse_choice(name), self.factors, None

        def carry_out() -> float:
            nonlocal factors, level
            seconds = 0.0
            for step in self.task.steps:
                unlearner = ApproximateUnlearner(made.model, factors, step.parts, self.seed, choice.settings, level)
                seconds += unlearner.forget(choice.method)[0]
                factors, level = made.model.engine.bank.extract(0), unlearner.level
            return seconds

        return _measure_cost(carry_out)

    def _retrained(self, method: AdapterMethod) -> tuple[Answers, _Cost]:
        """Trained once without everything that is to be forgotten; in a stream each request would train that much
        again, so the seconds count once per request."""
        cost = _measure_cost(lambda: method.forget(**self.task.asked).seconds * len(self.task.steps))
        return self._answers(method, REFERENCE), cost

    def _exact(self, method: AdapterMethod, name: str) -> tuple[Answers, _Cost]:
        cost = _measure_cost(lambda: sum(method.forget(**step.asked).seconds for step in self.task.steps))
        return self._answers(method, name), cost

    def _sharded(self, name: str) -> tuple[Answers, _Cost, Answers, Answers]:
        """A method with shards, and its own training from scratch with the same shards: after, cost, before, from
        scratch."""
        method = self._method(name, self.seed)
        before = self._answers(method, name)
        after, cost = self._exact(method, name)
        method.train_from_scratch()
        return after, cost, before, self._answers(method, name)


def settings_of(name: str) -> dict[str, float | str]:
    """All settings of an approximate method, by name; of other methods, none."""
    return parse_choice(name).told if is_approximate(name) else {}


def _measure_cost(carry_out: Callable[[], float]) -> _Cost:
    with peak_memory() as peak:
        seconds = carry_out()
    return _Cost(seconds, peak[0])


def figures_of(seen: Seen, n_forget: int) -> Taken:
    """What is measured of one method."""
    taken = take(FORGETTING_MEASURES, lambda measure: measure(seen))
    return Taken({"n_forget": float(n_forget), **taken.figures}, taken.faults)
