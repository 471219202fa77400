"""Methods that train LoRA adapters on shards: APA, Retraining, SISA, RecEraser, GraphEraser, and APA's ablations.

They differ in how samples are partitioned and how the adapters are combined; they share training and exact retraining.
"""

import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from recbole_apa.adapters.aggregation import cosine, settle_weights
from recbole_apa.adapters.receraser_attention import fit_attention
from recbole_apa.adapters.weight_rules import WEIGHT_RULES, WeightRule
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.comparison.context import ComparisonContext
from recbole_apa.comparison.method import FitFigures, Scored, UnlearnFigures
from recbole_apa.comparison.methods.evidence import Joined, rows_behind
from recbole_apa.comparison.methods.labels import count_learnt, learnt_ids
from recbole_apa.comparison.requests import TrainedSamples, drawn_figures, single_shard_requests
from recbole_apa.core.errors import RunError
from recbole_apa.core.option_table import ACTIVATION_KEYS
from recbole_apa.core.progress import progress
from recbole_apa.core.settings import AVERAGED
from recbole_apa.data.loaders import Loaders
from recbole_apa.data.run_data import RunData
from recbole_apa.data.splits import SPLITS
from recbole_apa.evidence import KeyRing
from recbole_apa.model.apa import APA
from recbole_apa.pipeline.build import RunResult, build_model
from recbole_apa.pipeline.build_data import build_data
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.evaluate import evaluate_state, training_cost, write_first_records
from recbole_apa.pipeline.trainer_factory import make_trainer
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.store import RunStore
from recbole_apa.unlearning.stage import unlearn

LEARNED = "learned"
LISTS_AT_ONCE = 4
DIVIDING = frozenset(("partition", "n_shards", "shard_size", "shard_slices"))
"""Options that only decide which samples are together."""


@dataclass(frozen=True)
class Serving:
    """How the adapters of one training are served."""

    aggregation: str
    """``decomposition``, ``non_decomposition`` or ``prediction``."""
    weight_rule: str
    """One of ``WEIGHT_RULES``, or ``learned`` (RecEraser's attention; for ``prediction`` only)."""
    tau: float | str | None = None
    n_neighbors: int | str | None = None
    """A number, ``auto``, or None for the training's own value."""


class ServingWithEvidence(Serving):
    """The score joins collaborative terms, by a regression that is fitted on the validation samples."""


class AdapterMethod:
    """One training, served in one or more ways.

    Args:
        servings: row of the table -> how it is served.
        changes: options that differ from the comparison's, e.g. ``{"partition": "random"}``.
    """

    def __init__(
        self, context: ComparisonContext, servings: Mapping[str, Serving], changes: Mapping[str, object]
    ) -> None:
        self.context, self.servings, self.changes = context, dict(servings), dict(changes)
        self._made: RunResult | None = None
        self._fitted: FitFigures | None = None
        self._joined: list[str] = []  # rows with evidence that were scored

    @property
    def rows(self) -> Sequence[str]:
        """Names of the table's rows."""
        return tuple(self.servings)

    @property
    def made(self) -> RunResult:
        """The run after ``fit``."""
        if self._made is None:
            raise RunError(f"{', '.join(self.rows)}: not trained yet, call fit first")
        return self._made

    def count_labels(self, row: str) -> int | None:
        """The labels that a row's adapters learn from; None with evidence, which learns from more."""
        if isinstance(self.servings[row], ServingWithEvidence):
            return None
        others = {name: value for name, value in sorted(self.changes.items()) if name not in DIVIDING}
        key = repr(others)
        if key not in self.context.n_labels:
            config, data = self._config(self.context.config["seed"]), self.context.data
            self.context.n_labels[key] = count_learnt(config, (build_data(config) if others else data).train_set)
        return self.context.n_labels[key]

    def fit(self, seed: int) -> FitFigures:
        """See :class:`~recbole_apa.comparison.method.Method`. Frozen activations of the labelled prompts are computed
        before the clock starts; they are the same for all methods."""
        # RecBole's random splits depend on the seed; the rows have to be the comparison's
        data = build_data(self._config(self.context.config["seed"]))
        self._check_rows(data)
        return self._train(self._config(seed), data)

    def fit_on(self, data: Loaders, seed: int) -> FitFigures:
        """Train on data other than the comparison's, e.g. on what a request left."""
        return self._train(self._config(seed), data)

    def _train(self, config: APAConfig, data: Loaders) -> FitFigures:
        folder = self.context.folder / "run"
        shutil.rmtree(folder, ignore_errors=True)
        model = build_model(config, data)
        key = tuple(str(config[name]) for name in ACTIVATION_KEYS)
        model.engine.cache = self.context.caches.setdefault(key, model.engine.cache)
        for part in data.parts:
            self._freeze(model, config, model.prompts_of(part))
        store = RunStore(folder)
        with run_lock(folder, "comparing"):
            trainer = make_trainer(config, model, store)
            trainer.fit(data.train, data.valid, show_progress=config["show_progress"])
        keys = KeyRing(self.context.folder / "keys.json")  # of scratch runs, not the user's file
        self._made = RunResult({}, folder, config, model, trainer, data, keys)
        cost = training_cost(trainer)
        n_each = sum(p.numel() for p in model.engine.bank.parameters()) // model.engine.bank.n_adapters
        n_active = sum(n > 0 for n in trainer.record.sizes)
        drawn = drawn_figures(TrainedSamples.of(self._made), cost) if n_active > 1 else {}
        n_labels = len(learnt_ids(config, data.train_set.samples, model.prompts_of(data.train_set)))
        self._fitted = FitFigures(cost["seconds"], n_each * n_active, n_active, n_labels, drawn)
        return self._fitted

    @staticmethod
    def _freeze(model: APA, config: APAConfig, prompts: Sequence[TokenizedPrompt]) -> None:
        size = model.engine.step_size
        for begin in progress(range(0, len(prompts), size), "Read prompts", config["show_progress"]):
            model.engine.freeze(prompts[begin : begin + size])

    def _config(self, seed: int) -> APAConfig:
        # the rows of this method are the language model's alone
        options = {**self.context.options, "evidence": "none", **self.changes, "seed": seed, "variants": "none"}
        if not self._looks_at_validation:
            options["valid_samples"] = 0
        return APAConfig("APA", self.context.dataset, list(self.context.config_files), options)

    @property
    def _looks_at_validation(self) -> bool:
        """Whether a row weights adapters by their errors; plain averages need no memory, and spend no time filling
        one."""
        rules = {serving.weight_rule for serving in self.servings.values()}
        return LEARNED in rules or any(WEIGHT_RULES.find(name).needs_memory for name in rules)

    def _check_rows(self, data: Loaders) -> None:
        """The same samples in the same order; their histories may be shorter or longer."""
        for name, part in zip(SPLITS, data.parts, strict=True):
            if name == "valid" and not self._looks_at_validation:
                continue
            mine = [(s.sample_id, s.label) for s in part.samples]
            theirs = [(s.sample_id, s.label) for s in self.context.splits[name]]
            if mine != theirs:
                raise RunError(
                    f"{', '.join(self.rows)}: {name} has {len(mine)} samples that are not the comparison's "
                    f"{len(theirs)}; expected options that do not change the rows"
                )

    def score(self, row: str) -> Scored:
        """See :class:`~recbole_apa.comparison.method.Method`."""
        serving, made = self.servings[row], self.made
        dataset = made.data.test_set
        prompts = made.model.engine.encode(dataset.prompt_inputs(self.context.judged(dataset.samples)))
        if self.context.ranking is None or not made.model.settings.backbone.shared_prefixes:
            self._freeze(made.model, made.config, prompts)
        joined, begun = None, time.perf_counter()
        if isinstance(serving, ServingWithEvidence):
            joined = self._join(serving, self.context.run_data)
        start = time.perf_counter()
        scores = self.answer(prompts, serving, f"Score {row}").numpy()
        if joined is not None:
            scores = joined.scores(self.context, scores)
        passes = made.model.engine.bank.n_adapters if serving.aggregation == "prediction" else 1
        found = Scored(scores, True, passes, time.perf_counter() - start)
        self._joined += [row] * (joined is not None)
        return replace(found, fitted=self._with(joined, start - begun)) if joined else found

    def _join(self, serving: Serving, data: RunData) -> Joined:
        """Fitted on the validation samples, each scored without its own user's rows of the memory."""
        made, valid = self.made, self.made.data.valid_set
        known, show = made.trainer.validation_scores(valid), made.config["show_progress"]
        how = AVERAGED if made.model.settings.collaborative.evidence_fit == "averages" else serving.aggregation
        if how not in known:
            title = "Score validation samples"
            known[how] = made.trainer.aggregate(valid, known["weights"], how, title, show)
        return Joined.fit(self.context, known[how].numpy(), data, made.config["seed"])

    def _with(self, joined: Joined, seconds: float) -> FitFigures:
        """What the shards and the evidence beside them took together.

        Args:
            seconds: of counting and fitting, which every request does again.
        """
        made, fitted, data = self.made, self._fitted, self.context.run_data
        seconds += joined.asked.shared_seconds
        assert fitted is not None
        rows = rows_behind(data)
        train = made.data.train_set
        learnt = learnt_ids(made.config, train.samples, made.model.prompts_of(train))
        labels = learnt.union(data.rows.row_ids(rows))
        return replace(
            fitted,
            seconds=fitted.seconds + seconds,
            n_parameters=(fitted.n_parameters or 0) + joined.n_parameters,
            n_labels=len(labels),
            drawn=drawn_figures(TrainedSamples.of(made), training_cost(made.trainer), seconds) if fitted.drawn else {},
        )

    def answer(self, prompts: Sequence[TokenizedPrompt], serving: Serving, title: str) -> Tensor:
        """s of any prompts, (n,), served as a row of the table is."""
        model, show = self.made.model, self.made.config["show_progress"]
        if serving.weight_rule == LEARNED:
            return self._attend(prompts, title)
        rule = self._rule(serving)
        if self.context.ranking and model.settings.backbone.shared_prefixes:
            size = self.context.ranking.n_candidates * LISTS_AT_ONCE
            steps = progress(range(0, len(prompts), size), title, show)
            return torch.cat([model.score_lists(prompts[i : i + size], rule, serving.aggregation) for i in steps])
        weights = rule(model.engine.embeddings(prompts))
        return model.aggregate_in_steps(prompts, weights, serving.aggregation, title, show)

    def _rule(self, serving: Serving) -> WeightRule:
        trained = self.made.model.rule
        assert trained is not None
        rule = replace(trained, name=serving.weight_rule)
        if serving.tau is None and serving.n_neighbors is None:
            return rule
        given = self.made.model.settings.aggregation
        tau, n = settle_weights(
            rule.memory,
            rule.active,
            given.tau if serving.tau is None else serving.tau,
            given.n_neighbors if serving.n_neighbors is None else serving.n_neighbors,
        )
        return replace(rule, tau=tau, n_neighbors=n)

    def _attend(self, prompts: Sequence[TokenizedPrompt], title: str) -> Tensor:
        """RecEraser's attention, trained on the memory: validation samples that no adapter saw."""
        made, rule = self.made, self.made.model.rule
        assert rule is not None
        known = rule.memory
        attention = fit_attention(
            known.scores, cosine(known.embeddings, rule.centres), known.labels, rule.active, made.config["seed"]
        )
        similarity = cosine(made.model.engine.embeddings(prompts), rule.centres)
        size = made.model.engine.step_size
        alone = [
            made.model.engine.adapter_scores(prompts[begin : begin + size])
            for begin in progress(range(0, len(prompts), size), title, made.config["show_progress"])
        ]
        return attention(torch.cat(alone), similarity)

    def unlearn(self) -> UnlearnFigures:
        """See :class:`~recbole_apa.comparison.method.Method`; exact, through the unlearning stage. Evidence is counted
        and fitted anew on what remains; a run subtracts the request's rows, which costs less."""
        done, further = self.forget(interactions=[single_shard_requests(self.made)[0]]), {}
        for row in self._joined:
            start = time.perf_counter()
            self._join(self.servings[row], self.made.data.train_set.run_data)
            further[row] = time.perf_counter() - start
        return replace(done, further=further)

    def train_from_scratch(self) -> None:
        """Train again on the data of ``made``, reusing only the assignment to shards."""
        made = self.made
        folder = self.context.folder / "scratch"
        shutil.rmtree(folder, ignore_errors=True)
        store = RunStore(folder)
        trainer = make_trainer(made.config, made.model, store)
        store.begin(trainer.identity(made.data.train_set, store.salt), {})
        partition = made.store.load_partition()
        assert partition is not None
        store.save_partition(partition)
        trainer.fit(made.data.train, made.data.valid, show_progress=made.config["show_progress"])
        self._made = replace(made, trainer=trainer, run_dir=folder)

    def forget(self, **asked: Any) -> UnlearnFigures:
        """Carry out a request, with the arguments of :func:`~recbole_apa.unlearn`; ``made`` is then what is left."""
        made = self.made
        if "full_training" not in made.store.manifest():  # a request writes records of its own
            made.metrics = evaluate_state(made, False)
            write_first_records(made)
        # forgetting purges the cache of frozen activations, which the other methods still use
        made.model.engine.cache = made.model.engine.cache.copy()
        outcome = unlearn(made, **asked).outcomes[0]
        self._made = outcome.result
        return UnlearnFigures(outcome.seconds, len(outcome.plan.shards))
