"""RecBole's trainer interface for APA: partition, one adapter per shard, memory, weights, evaluation."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from recbole.config import Config
from recbole.data.dataloader.abstract_dataloader import AbstractDataLoader
from recbole.trainer import Trainer
from recbole.utils import EvaluatorType, calculate_valid_score, set_color
from torch import Tensor

from recbole_apa.adapters.aggregation import settle_weights
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.system.code_version import code_version
from recbole_apa.core.system.machine import MachineKind, machine_kind
from recbole_apa.data.dataloader import ShardingDataLoader
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.loaders import part_of
from recbole_apa.evidence import secret_of
from recbole_apa.model.apa import APA
from recbole_apa.model.combine import combined_of, model_terms
from recbole_apa.model.combined_scores import CombinedScores
from recbole_apa.model.contracts import NO_INPUTS, FitInputs
from recbole_apa.model.fit import TrainedState, fit_state
from recbole_apa.model.fit_context import FitContext, FitRecord
from recbole_apa.model.kept_activations import keep_activations
from recbole_apa.model.recbole_evaluator import PatientEvaluator
from recbole_apa.model.run_identity import identity_of
from recbole_apa.model.validation_memory import of_memory
from recbole_apa.partition import Partition
from recbole_apa.runs.collaborative_files import save_collaborative
from recbole_apa.runs.keep_index import write_first_index
from recbole_apa.runs.ledger import refuse_pending
from recbole_apa.runs.log_places import NoScalars, nothing_made
from recbole_apa.runs.names import COUNTED, KEY, MACHINES
from recbole_apa.runs.place import make_run_dir
from recbole_apa.runs.store import RunIdentity, RunStore
from recbole_apa.runs.tensorboard import Board, new_board
from recbole_apa.runs.trunk_activations import load_activations


class APATrainer(Trainer):
    """``fit`` and ``evaluate`` take and return the same as RecBole's.

    Args:
        store: where the run is kept; without one, ``fit(saved=True)`` creates a folder in ``checkpoint_dir``.
        inputs: additional inputs of every training, such as workers.
    """

    model: APA

    def __init__(
        self, config: Config, model: APA, store: RunStore | None = None, inputs: FitInputs = NO_INPUTS
    ) -> None:
        with nothing_made():
            super().__init__(config, model)
        self.evaluator = PatientEvaluator(config)
        self.store, self.inputs = store, inputs
        self.record = FitRecord()
        self.known_valid_scores: dict[str, Tensor] = {}
        self.combined: CombinedScores | None = None
        self.model_terms: dict[str, np.ndarray] = {}
        self.train_embeddings: Tensor | None = None
        self.partition: Partition | None = None

    def _build_optimizer(self, **kwargs: object) -> None:
        """Nothing to build: each shard has its own optimiser."""

    def fit(
        self,
        train_data: ShardingDataLoader,
        valid_data: AbstractDataLoader | None = None,
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
            ValueError: there is no validation data, in which the attention looks up errors.
        """
        if valid_data is None:
            raise ValueError("APA needs validation data: its weights come from the adapters' errors on them")
        return self.fit_with(train_data, valid_data, self.inputs, saved, show_progress, callback_fn)

    def fit_with(
        self,
        train_data: ShardingDataLoader,
        valid_data: AbstractDataLoader,
        inputs: FitInputs,
        saved: bool = True,
        show_progress: bool = False,
        callback_fn: Callable[[int, float], None] | None = None,
    ) -> tuple[float, dict[str, float]]:
        """As :meth:`fit`, with inputs for this training alone: they may contain what is forgotten, and are not kept."""
        if saved and self.store is None:
            self.store = RunStore(make_run_dir(self.config))
            self.logger.info(f"run folder: {self.store.place}")
        store, self.record = self.store if saved else None, FitRecord()
        self.eval_collector.data_collect(train_data)
        self.model_terms = model_terms(self.model.settings, part_of(train_data).run_data, inputs, self.record, store)
        if store:
            self._begin(store, part_of(train_data))
        fit = FitContext(self.model, self.record, store, inputs, self.tensorboard.add_scalar, show_progress)
        state = fit_state(fit, train_data, part_of(valid_data))
        self.train_embeddings, self.partition = state.embeddings, state.partition
        self._set_rule(state)
        if store:
            self._keep(store, state, train_data, valid_data)
        found = self._validate(fit, valid_data, show_progress, callback_fn)
        if store:
            self._seal(store)
        return found

    def _begin(self, store: RunStore, train_set: APADataset) -> None:
        """Record in the run's folder what is being trained there."""
        key = self.inputs.key
        about = {"code": code_version(), KEY: key.name if key else None, MACHINES: [self.machine.plain()]}
        store.begin(self.identity(train_set, store.salt), about)
        store.note_machine(self.machine.plain())
        if self.inputs.writes_index and store.base is None:
            write_first_index(store, train_set, self.inputs.key)
        self.tensorboard = new_board(self.config, store) if self.inputs.writes_board else Board(NoScalars())
        if self.inputs.begin_line:
            self.logger.info(self.inputs.begin_line)

    def _keep(self, store: RunStore, state: TrainedState, *loaders: AbstractDataLoader) -> None:
        """Write what the training steps have not stored themselves."""
        store.save_memory(state.memory, state.active)
        prompts = [self._prompts_of(part) for part in loaders]
        kept = keep_activations(store, self.model.engine, prompts, self.config["keep_states"])
        store.save_lineage(state.lineage(part_of(loaders[0]).splits, kept))

    def _seal(self, store: RunStore) -> None:
        """Write what is fitted on the validation scores, and record the digests of all files."""
        about: dict[str, object] = {"chosen": {"tau": self.record.tau, "n_neighbors": self.record.n_neighbors}}
        if self.combined:
            save_collaborative(store, self.combined.fitted)
            about[COUNTED] = self.combined.counted(secret_of(store.salt, self.inputs.key)).to_json()
        store.seal(about, complete=not self.inputs.records_follow)

    @torch.no_grad()
    def evaluate(
        self,
        eval_data: AbstractDataLoader,
        load_best_model: bool = True,
        model_file: str | Path | None = None,
        show_progress: bool = False,
    ) -> dict[str, float]:
        """RecBole's metrics on ``eval_data``, of the scores that are served; none if it is empty.

        Args:
            load_best_model: for compatibility with RecBole: APA has one state, which is in RAM after ``fit``.
            model_file: a run folder to load first.
        """
        if load_best_model and model_file is not None:
            self.load(RunStore(Path(model_file)))
            self.load_combined(part_of(eval_data))
        if not len(part_of(eval_data)):  # ranking uses only liked rows
            self.logger.warning("no liked sample is left to rank: no figures")
            return {}
        if self.combined and not self.ranking:
            part = part_of(eval_data)
            weights, how = self.model.weights(self.model.prompts_of(part)), self.model.settings.aggregation.aggregation
            scores = self.aggregate(part, weights, how, "Evaluate", show_progress)
            return self.evaluate_scores(self.served_of(part, scores.numpy()), part)
        found: dict[str, float] = super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)
        return found

    def evaluate_scores(self, scores: np.ndarray, part: APADataset) -> dict[str, float]:
        """RecBole's metrics of scores of a split's samples already computed, (n,), for ``mode: labeled``."""
        self.eval_collector.eval_collect(torch.from_numpy(scores), part.labelled[self.config["LABEL_FIELD"]])
        return self.evaluator.evaluate(self.eval_collector.get_data_struct())

    def served_of(self, part: APADataset, scores: np.ndarray) -> np.ndarray:
        """The scores of all samples of a split that are served, (n,), given those of the configured aggregation."""
        return self.combined.served_of(part, scores) if self.combined else scores

    def load_activations(self, *loaders: AbstractDataLoader) -> None:
        """Load the frozen activations that the run kept for these loaders' samples."""
        if self.store:
            n = load_activations(self.store, self.model.engine.cache, self._prompts_of(*loaders))
            self.logger.debug(f"{n} frozen activations loaded from {self.store.folder}")

    def _prompts_of(self, *loaders: AbstractDataLoader) -> list[TokenizedPrompt]:
        return [prompt for loader in loaders for prompt in self.model.prompts_of(part_of(loader))]

    def load_combined(self, part: APADataset) -> None:
        """Load what the run keeps of collaborative statistics, if anything, once :meth:`load` was called.

        Args:
            part: any part of the run's data.

        Raises:
            RunError: missing or damaged.
        """
        if self.model.settings.collaborative.counts and self.store:
            self.combined = CombinedScores.load(self.store, part.run_data, self.model)

    def load(self, store: RunStore, allow_pending: bool = False) -> None:
        """Load adapters, partition, memory and the chosen tau and n from a finished run.

        Raises:
            RunError: the run is damaged, or a request is pending (``allow_pending`` loads the old state).
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

    def _set_rule(self, state: TrainedState) -> None:
        """Set tau and n as given, or as chosen on the memory."""
        given = self.model.settings.aggregation
        tau, n = settle_weights(state.memory, state.active, given.tau, given.n_neighbors)
        self.record.tau, self.record.n_neighbors = tau, n
        self.logger.info(set_color("aggregation weights", "pink") + f": tau = {tau:g}, n = {n}")
        self.model.set_rule(state.memory, state.partition.centres, state.active, tau, n)

    def _validate(
        self,
        fit: FitContext,
        valid_data: AbstractDataLoader,
        show_progress: bool,
        callback_fn: Callable[[int, float], None] | None,
    ) -> tuple[float, dict[str, float]]:
        """RecBole's metrics on the validation samples, whose neighbours are samples of other users."""
        start = time.perf_counter()
        dataset = part_of(valid_data)
        if not dataset.samples or not fit.validates:
            result = {}
            self._combine(fit, dataset, np.empty(0))
        elif self.ranking:
            result = self.evaluate(valid_data, load_best_model=False, show_progress=show_progress)
        else:
            known = self.validation_scores(dataset)
            how = self.model.settings.validation_aggregation
            if how not in known:
                known[how] = self.aggregate(dataset, known["weights"], how, "Validate", show_progress)
            self.known_valid_scores = known
            self._combine(fit, dataset, known[how].numpy())
            result = self.evaluate_scores(self.served_of(dataset, known[how].numpy()), dataset)
        self.record.add_seconds("validate_seconds", start)
        self.best_valid_result = result
        self.best_valid_score = calculate_valid_score(result, self.valid_metric) if result else float("nan")
        if callback_fn:
            callback_fn(len(self.record.sizes) - 1, self.best_valid_score)
        return self.best_valid_score, result

    def _combine(self, fit: FitContext, dataset: APADataset, scores: np.ndarray) -> None:
        """Combine the model's scores of the validation samples with collaborative statistics, if the run has them."""
        start = time.perf_counter()
        self.combined = combined_of(fit, dataset, scores, self.model_terms)
        if self.combined:
            self.record.add_seconds("evidence_seconds", start)

    def validation_scores(self, dataset: APADataset) -> dict[str, Tensor]:
        """Of the validation samples, from the memory: ``weights`` (v, k), ``alone`` (v, k) and ``prediction`` (v,)."""
        assert self.model.rule is not None
        return of_memory(self.model.rule, dataset)

    def aggregate(self, dataset: APADataset, weights: Tensor, how: str, title: str, show_progress: bool) -> Tensor:
        """Scores of a split's samples with given weights, with a progress bar: (n, k) -> (n,)."""
        return self.model.aggregate_in_steps(self.model.prompts_of(dataset), weights, how, title, show_progress)

    @property
    def machine(self) -> MachineKind:
        """The kind of machine used for training."""
        return machine_kind(self.model.engine.decoder.device)

    def identity(self, dataset: APADataset, salt: str) -> RunIdentity:
        """What determines the numbers of a run trained now.

        Args:
            dataset: the training part.
            salt: the run's salt.
        """
        return identity_of(self.config, self.model, dataset, secret_of(salt, self.inputs.key))

    @property
    def ranking(self) -> bool:
        """Whether evaluation ranks candidates instead of scoring labelled rows."""
        return self.config["eval_type"] == EvaluatorType.RANKING
