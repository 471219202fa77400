"""Exact and approximate unlearning of the same request, side by side: how near each comes to retraining, and what it
costs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from logging import getLogger
from pathlib import Path
from typing import Any

import numpy as np

from recbole_apa.comparison_record import DONE, FAILED, REFERENCE, Row, RowStore, code_digest, deciding_options, row_key
from recbole_apa.errors import SettingsError
from recbole_apa.evaluation.forgetting import (
    activation_distance,
    confidence,
    entropy_membership,
    half_jeffreys,
    js_divergence,
    local_residual,
    membership_auc,
)
from recbole_apa.evaluation.metrics import auc, mean_log_loss
from recbole_apa.methods.adapters import AdapterMethod
from recbole_apa.methods.bench import Bench, bench_in
from recbole_apa.methods.forget_task import ForgetRequest, ForgetTask, open_task
from recbole_apa.methods.registry import ADAPTERS
from recbole_apa.report.forgetting import write_forgetting
from recbole_apa.unlearning.approximate import NAMES as APPROXIMATE
from recbole_apa.unlearning.approximate import ApproximateUnlearner

ORIGINAL, OTHER_SEED = "Original (do nothing)", "Retraining, another seed"
ALWAYS = (ORIGINAL, REFERENCE, OTHER_SEED)
JUDGED = ("forget", "retain", "neighbours", "test")
Answers = dict[str, np.ndarray]
"""Scores by part."""


@dataclass
class Forgetting:
    """What :func:`compare_forgetting` leaves."""

    rows: list[Row]
    folder: Path
    table: str
    """For a terminal."""


def compare_forgetting(
    names: Sequence[str],
    request: ForgetRequest,
    dataset: str = "ml-100k",
    config_file_list: Sequence[str] = (),
    config_dict: Mapping[str, Any] | None = None,
    seeds: int = 1,
    folder: str | Path | None = None,
) -> Forgetting:
    """Forget the same training data with several methods, and measure each against retraining.

    Args:
        names: approximate methods, and methods with adapters of the comparison (``APA(D)``, ``SISA``, ...). The rows
            ``Original``, ``Retraining`` and ``Retraining, another seed`` are always there.
        request: what is forgotten; drawn anew with each seed.
        folder: where rows, tables and the report go; rows that are there are not computed again.

    Raises:
        SettingsError: a name that is neither.
    """
    unknown = sorted(set(names) - set(APPROXIMATE) - set(ADAPTERS))
    if unknown:
        raise SettingsError(
            f"found {', '.join(unknown)}; expected methods that forget with an adapter: "
            f"{', '.join([*APPROXIMATE, *ADAPTERS])}"
        )
    target = Path(folder) if folder else Path("saved") / f"forget-{dataset}"
    with bench_in(target, dataset, config_file_list, config_dict or {}) as bench:
        first = bench.config["seed"]
        rows = [
            row
            for seed in range(first, first + seeds)
            for row in _Round(bench, request, seed, RowStore(target)).rows(list(dict.fromkeys(names)))
        ]
        table = write_forgetting(target, rows)
    return Forgetting(rows, target, table)


class _Round:
    """One seed: one request, one original model, all methods."""

    def __init__(self, bench: Bench, request: ForgetRequest, seed: int, store: RowStore) -> None:
        self.bench, self.request, self.seed, self.store = bench, request, seed, store
        self.key = row_key(
            {
                "options": deciding_options(bench.config.plain_options()),
                "request": asdict(request),
            },
            bench.rows_digest,
        )

    def rows(self, names: Sequence[str]) -> list[Row]:
        """From the store, or measured now."""
        wanted = [*ALWAYS, *(n for n in names if n not in ALWAYS)]
        known = {name: found for name in wanted if (found := self.store.find(name, self.seed, self.key))}
        if len(known) < len(wanted):
            known |= self._measure([n for n in wanted if n not in known and n not in ALWAYS])
        return [known[name] for name in wanted]

    def _measure(self, names: Sequence[str]) -> dict[str, Row]:
        original = self._method(REFERENCE, self.seed)
        made = original.made
        task = open_task(made, self.bench.data[1]._dataset, self.request, self.seed)
        before = self._answers(original, REFERENCE, task)
        found: dict[str, tuple[Answers, float]] = {ORIGINAL: (before, 0.0)}
        failed: dict[str, str] = {}
        factors = made.model.engine.bank.extract(0)
        for name in (n for n in names if n in APPROXIMATE):
            getLogger().info(f"{name}: seed {self.seed}")
            try:
                seconds = ApproximateUnlearner(made.model, factors, task.parts, self.seed).forget(name)[0]
                found[name] = (self._answers(original, REFERENCE, task), seconds)
            except Exception as error:  # whatever a method raises is its row's reason, not the table's end
                failed[name] = f"{type(error).__name__}: {error}"
        made.model.engine.bank.resize(1)
        made.model.engine.bank.load(0, factors)
        found[REFERENCE] = self._exact(original, REFERENCE, task)
        found[OTHER_SEED] = self._exact(self._method(REFERENCE, self.seed + 1), REFERENCE, task)
        out = {name: self._row(name, task, found, before, found[REFERENCE][0]) for name in found}
        for name in (n for n in names if n not in APPROXIMATE):
            out[name] = self._sharded(name, task)
        out |= {name: Row(name, self.seed, FAILED, reason) for name, reason in failed.items()}
        for row in out.values():
            self.store.save(row, self.key)
        return out

    def _method(self, name: str, seed: int) -> AdapterMethod:
        changes, serving = ADAPTERS[name]
        method = AdapterMethod(self.bench, {name: serving}, changes)
        method.fit(seed)
        return method

    @staticmethod
    def _answers(method: AdapterMethod, name: str, task: ForgetTask) -> Answers:
        serving = method.servings[name]
        return {
            part: method.answer(task.parts[part].prompts, serving, f"Score {part}").numpy()
            for part in JUDGED
            if len(task.parts[part])
        }

    def _exact(self, method: AdapterMethod, name: str, task: ForgetTask) -> tuple[Answers, float]:
        seconds = method.forget(**task.asked).seconds
        return self._answers(method, name, task), seconds

    def _sharded(self, name: str, task: ForgetTask) -> Row:
        """A method with shards against its own retraining from scratch, with the shards it has."""
        getLogger().info(f"{name}: seed {self.seed}")
        try:
            method = self._method(name, self.seed)
            before = self._answers(method, name, task)
            after, seconds = self._exact(method, name, task)
            method.train_from_scratch()
            reference = self._answers(method, name, task)
        except Exception as error:  # as above
            return Row(name, self.seed, FAILED, f"{type(error).__name__}: {error}")
        return self._row(name, task, {name: (after, seconds)}, before, reference)

    def _row(
        self, name: str, task: ForgetTask, found: Mapping[str, tuple[Answers, float]], before: Answers, goal: Answers
    ) -> Row:
        answers, seconds = found[name]
        figures = figures_of(answers, before, goal, task) | {"unlearn_seconds": round(seconds, 3)}
        digests = {"settings": self.key, "data": self.bench.rows_digest, "code": code_digest()}
        kept = [round(float(s), 6) for s in answers["test"]]
        return Row(name, self.seed, DONE, "", figures, kept, digests)


def figures_of(answers: Answers, before: Answers, goal: Answers, task: ForgetTask) -> dict[str, float]:
    """What is measured of one method.

    Args:
        before: of the model before the request.
        goal: of the model trained without the data.
    """
    forget, test = task.parts["forget"], task.parts["test"]
    s, s_goal = answers["forget"], goal["forget"]
    out: dict[str, float | None] = {
        "n_forget": len(forget),
        "js_divergence": js_divergence(s, s_goal),
        "half_jeffreys": half_jeffreys(s, s_goal),
        "activation_distance": activation_distance(s, s_goal),
        "local_residual": local_residual(s, s_goal, before["forget"]),
        "forget_confidence": confidence(s, forget.labels),
        "membership_auc": membership_auc(s, forget.labels, answers["test"], test.labels),
        "entropy_membership": entropy_membership(s, answers["retain"], answers["test"]),
        "logloss": mean_log_loss(test.labels, answers["test"]),
    }
    for part in JUDGED:
        if part in answers:
            out["auc" if part == "test" else f"{part}_auc"] = auc(task.parts[part].labels, answers[part])
    return {name: float(value) for name, value in out.items() if value is not None}
