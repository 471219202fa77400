"""RecBole's trainer contract for APA: partition, one adapter per shard, memory, weights, evaluation."""

import secrets
import time
from collections.abc import Callable, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from recbole.trainer import Trainer
from recbole.utils import EvaluatorType, calculate_valid_score, set_color
from torch import Tensor

from recbole_apa.adapters.aggregation import Memory, settle_weights
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.progress import progress
from recbole_apa.core.system.machine import MachineKind, machine_kind
from recbole_apa.data.dataloader import ShardingDataLoader
from recbole_apa.evidence import Key, secret_of
from recbole_apa.model.apa import APA
from recbole_apa.model.fit import FitRecord, ShardUpdate, StateBuilder, WorkerPool, lineage_of, sample_order
from recbole_apa.model.recbole_evaluator import PatientEvaluator
from recbole_apa.partition import Collaborative, Partition
from recbole_apa.runs.ledger import refuse_pending
from recbole_apa.runs.log_places import NoScalars, nothing_made, open_scalars, place_of_scalars
from recbole_apa.runs.outside import mark
from recbole_apa.runs.place import make_run_dir
from recbole_apa.runs.reuse import ReusableState
from recbole_apa.runs.store import KEY, MACHINES, STATES, RunIdentity, RunStore
from recbole_apa.runs.tensorboard import Board
from recbole_apa.runs.trunk_activations import load_activations, save_activations


class APATrainer(Trainer):
    """``fit`` and ``evaluate`` take and return what RecBole's do.

    Args:
        store: where the run is kept; without one, ``fit(saved=True)`` makes a folder in ``checkpoint_dir``.
        reuse: the state that the one to be trained follows; what it proves to be unaffected is taken over.
    """

    model: APA

    def __init__(
        self, config: Any, model: APA, store: RunStore | None = None, reuse: ReusableState | None = None
    ) -> None:
        with nothing_made():
            super().__init__(config, model)
        self.writes_board = True
        self.evaluator = PatientEvaluator(config)
        self.store, self.reuse = store, reuse
        self.pool: WorkerPool | None = None
        self.collaborative: Callable[[str, Any], Collaborative] | None = None
        self.shard_update: ShardUpdate | None = None
        self.key: Key | None = None
        """With which the state's digests are keyed; None where nothing was forgotten."""
        self.records_follow = False
        """Whether the caller evaluates and writes records after ``fit``: the run counts as interrupted until then."""
        self.record = FitRecord()
        self.known_valid_scores: dict[str, Tensor] = {}
        self.train_embeddings: Tensor | None = None
        self.partition: Partition | None = None

    def _build_optimizer(self, **kwargs: Any) -> None:
        """Each shard has an optimiser of its own."""

    def fit(
        self,
        train_data: ShardingDataLoader,
        valid_data: Any = None,
        verbose: bool = True,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float]]:
        """Partition the samples, train an adapter on each shard, fill the memory.

        Args:
            callback_fn: called with (shard, validation score) once, after the last shard.

        Returns:
            the validation score of the aggregated model, and RecBole's metrics on the validation samples.

        Raises:
            ValueError: no validation data; the attention looks its errors up there.
        """
        if valid_data is None:
            raise ValueError("APA needs validation data: its weights come from the adapters' errors on them")
        if saved and self.store is None:
            self.store = RunStore(make_run_dir(self.config))
        store = self.store if saved else None
        if self.pool:
            self.pool.see(train_data._dataset.visible_to_workers)
        self.record = FitRecord()
        self.eval_collector.data_collect(train_data)
        if store:
            about = {"code": code_version(), KEY: self.key.name if self.key else None, MACHINES: [self.machine.plain()]}
            store.begin(self.identity(train_data, store.salt), about)
            store.note_machine(self.machine.plain())
            self.tensorboard = self._new_board(store)
            self.logger.info(f"run folder: {store.place} (if interrupted, go on with --run_dir={store.place})")
        builder = StateBuilder(
            self.model,
            self.record,
            store,
            self.reuse,
            self.tensorboard.add_scalar,
            show_progress,
            self.collaborative,
            self.shard_update,
            self.pool,
        )
        try:
            memory, active = self._build(builder, train_data, valid_data)
        finally:
            if self.pool:
                self.pool.close()
        self._set_rule(memory, active)
        if store:
            assert self.partition is not None
            store.save_memory(memory, active)
            if self.config["keep_states"]:
                save_activations(store, self.model.engine.cache, self._prompts_of(train_data, valid_data))
            store.save_lineage(lineage_of(self.partition, train_data._dataset.splits, store.has(STATES)))
            chosen = {"tau": self.record.tau, "n_neighbors": self.record.n_neighbors}
            store.seal({"chosen": chosen}, complete=not self.records_follow)
        return self._validate(valid_data, show_progress, callback_fn)

    def _new_board(self, store: RunStore) -> Board:
        """Tensorboard logs that carry the run's mark; where they cannot be written, none."""
        if not self.writes_board:
            return Board(NoScalars())
        # a folder of its own, so that unlearning can delete what an old training wrote there
        name = f"{store.folder.name}-{secrets.token_hex(4)}"
        store.note_board(place_of_scalars(self.config, name))
        return Board(open_scalars(self.config, name, lambda folder: mark(folder, store.salt, store.home)))

    def _build(self, builder: StateBuilder, train_data: ShardingDataLoader, valid_data: Any) -> tuple[Memory, Tensor]:
        """Partition, adapters, memory; and which shards are active."""
        self.train_embeddings = builder.embed_training(train_data._dataset)
        self.partition = builder.make_partition(train_data._dataset, self.train_embeddings)
        adapters = builder.train(train_data, self.partition)
        self.model.set_adapters(adapters)
        active = torch.tensor([a is not None for a in adapters])
        return builder.fill_memory(valid_data._dataset, active), active

    @torch.no_grad()
    def evaluate(
        self, eval_data: Any, load_best_model: bool = True, model_file: Any = None, show_progress: bool = False
    ) -> dict[str, float]:
        """RecBole's metrics on ``eval_data``; none where it is empty.

        Args:
            load_best_model: kept for RecBole's sake: APA keeps one state, and it is in memory after ``fit``.
            model_file: a run folder to load first.
        """
        if load_best_model and model_file is not None:
            self.load(RunStore(Path(model_file)))
        if not len(eval_data._dataset):  # ranking looks at liked rows alone
            self.logger.warning("no liked sample is left to rank: there are no figures")
            return {}
        found: dict[str, float] = super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)
        return found

    def evaluate_scores(self, scores: Tensor, labels: Tensor) -> dict[str, float]:
        """RecBole's metrics of scores that are there already, (n,), for ``mode: labeled``."""
        self.eval_collector.eval_collect(scores, labels)
        return self.evaluator.evaluate(self.eval_collector.get_data_struct())

    def load_activations(self, *loaders: Any) -> None:
        """Take the frozen states that the run kept of these loaders' samples."""
        if self.store:
            n = load_activations(self.store, self.model.engine.cache, self._prompts_of(*loaders))
            self.logger.debug(f"{n} frozen states taken from {self.store.folder}")

    def _prompts_of(self, *loaders: Any) -> list[TokenizedPrompt]:
        return [prompt for loader in loaders for prompt in self.model.prompts(loader._dataset.labelled)]

    def load(self, store: RunStore, allow_pending: bool = False) -> None:
        """Take adapters, partition, memory and the chosen tau and n from a finished run.

        Raises:
            RunError: damaged, or a request waits to be carried out (``allow_pending`` takes the old state).
        """
        refuse_pending(store, allow_pending)
        manifest = store.check()
        self.store = store
        self.partition = store.load_partition()
        assert self.partition is not None
        loaded = [store.load_shard(k) for k in range(self.partition.n_shards)]
        self.model.set_adapters([shard and shard[0] for shard in loaded])
        self.record.shards = [shard[1] if shard else {} for shard in loaded]
        self.record.sizes = self.partition.sizes()
        memory, active = store.load_memory()
        self.record.tau, self.record.n_neighbors = manifest["chosen"]["tau"], manifest["chosen"]["n_neighbors"]
        self.model.set_rule(memory, self.partition.centres, active, self.record.tau, self.record.n_neighbors)

    def _set_rule(self, memory: Memory, active: Tensor) -> None:
        """tau and n as given, or chosen on the memory."""
        given = self.model.settings.aggregation
        tau, n = settle_weights(memory, active, given.tau, given.n_neighbors)
        self.record.tau, self.record.n_neighbors = tau, n
        self.logger.info(set_color("attention", "pink") + f": tau = {tau:g}, n = {n}")
        assert self.partition is not None
        self.model.set_rule(memory, self.partition.centres, active, tau, n)

    def _validate(
        self, valid_data: Any, show_progress: bool, callback_fn: Callable[[int, float], None] | None
    ) -> tuple[float, dict[str, float]]:
        """RecBole's metrics on the validation samples; their neighbours are those of other users."""
        start = time.perf_counter()
        dataset = valid_data._dataset
        if not dataset.samples:
            result = {}
        elif self.ranking:
            result = self.evaluate(valid_data, load_best_model=False, show_progress=show_progress)
        else:
            known = self.validation_scores(dataset)
            how = self.model.settings.aggregation.aggregation
            if how not in known:
                known[how] = self.aggregate(dataset, known["weights"], how, "Validate", show_progress)
            self.known_valid_scores = known
            result = self.evaluate_scores(known[how], dataset.labelled[self.config["LABEL_FIELD"]])
        self.record.add_seconds("validate_seconds", start)
        self.best_valid_result = result
        self.best_valid_score = calculate_valid_score(result, self.valid_metric) if result else float("nan")
        if callback_fn:
            callback_fn(len(self.record.sizes) - 1, self.best_valid_score)
        return self.best_valid_score, result

    def validation_scores(self, dataset: Any) -> dict[str, Tensor]:
        """What the memory knows of the validation samples, in the dataset's order: ``weights`` (v, k), ``alone``
        (v, k) and their ``prediction`` (v,)."""
        assert self.model.rule is not None
        order = sample_order(dataset.samples)
        weights, alone = (
            torch.empty_like(self.model.rule.memory.scores),
            torch.empty_like(self.model.rule.memory.scores),
        )
        weights[order], alone[order] = self.model.rule.of_memory(), self.model.rule.memory.scores
        return {"weights": weights, "alone": alone, "prediction": (weights * alone).sum(1)}

    def aggregate(self, dataset: Any, weights: Tensor, how: str, title: str, show_progress: bool) -> Tensor:
        """Scores of a split's samples with given weights, with a progress bar: (n, k) -> (n,)."""
        return self.aggregate_prompts(self.model.prompts(dataset.labelled), weights, how, title, show_progress)

    def aggregate_prompts(
        self, prompts: Sequence[TokenizedPrompt], weights: Tensor, how: str, title: str, show_progress: bool
    ) -> Tensor:
        """Scores of prompts with given weights, with a progress bar: (n, k) -> (n,)."""
        if not prompts:
            return torch.empty(0)
        size = self.model.engine.step_size
        steps = progress(range(0, len(prompts), size), title, show_progress)
        return torch.cat([self.model.aggregate(prompts[i : i + size], weights[i : i + size], how) for i in steps])

    @property
    def machine(self) -> MachineKind:
        """The kind of machine that it trains on."""
        return machine_kind(self.model.engine.decoder.device)

    def identity(self, train_data: ShardingDataLoader, salt: str) -> RunIdentity:
        """What decides the numbers of the run that would be trained now.

        Args:
            salt: the run's.
        """
        dataset = train_data._dataset
        digest = dataset.digest(secret_of(salt, self.key))
        return RunIdentity(
            settings=self.model.settings.flat(),
            options=self.config.plain_options(),
            dataset=digest.hex(),
            dataset_sums=digest.text(),
            backbone=self.model.engine.backbone.digest,
            draw=dataset.cutoffs,
        )

    @property
    def ranking(self) -> bool:
        """Whether the metrics asked for rank candidates instead of judging labelled rows."""
        return self.config["eval_type"] == EvaluatorType.RANKING


def code_version() -> str:
    """The installed version of this package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("recbole-apa")
    except PackageNotFoundError:
        getLogger().debug("recbole-apa runs from a checkout that was not installed")
        return "checkout"
