"""RecBole's trainer contract for APA: partition, one adapter per shard, memory, weights, evaluation."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from logging import getLogger
from pathlib import Path
from typing import Any

import torch
from recbole.trainer import Trainer
from recbole.utils import EvaluatorType, calculate_valid_score, get_local_time, set_color
from torch import Tensor

from recbole_apa.adapters.attention import NEIGHBOR_GRID, TAU_GRID, Memory, choose_attention
from recbole_apa.adapters.inject import Factors
from recbole_apa.adapters.peft_files import PeftDescription
from recbole_apa.backbone.answers import TokenizedPrompt
from recbole_apa.data.dataloader import ShardingDataLoader
from recbole_apa.data.samples import Sample
from recbole_apa.files import write_json
from recbole_apa.model import APA
from recbole_apa.partition import PARTITIONERS, Partition
from recbole_apa.partition.assignment import shard_count
from recbole_apa.progress import progress
from recbole_apa.run_store import RunIdentity, RunStore
from recbole_apa.seeding import digest_of
from recbole_apa.shard_trainer import ShardTrainer


@dataclass
class FitRecord:
    """What training left behind, for the report: figures, not state."""

    sizes: list[int] = field(default_factory=list)
    shards: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    tau: float = 0.0
    n_neighbors: int = 0
    n_cut_prompts: int = 0
    n_cut_lines: int = 0


class APATrainer(Trainer):
    """``fit`` and ``evaluate`` take and return what RecBole's do.

    Args:
        store: where the run is kept; without one, ``fit(saved=True)`` makes a folder in ``checkpoint_dir``.
    """

    model: APA

    def __init__(self, config: Any, model: APA, store: RunStore | None = None) -> None:
        super().__init__(config, model)
        self.store = store
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
            self.store = RunStore(Path(self.checkpoint_dir) / f"APA-{self.config['dataset']}-{get_local_time()}")
        store = self.store if saved else None
        self.record = FitRecord()
        self.eval_collector.data_collect(train_data)
        if store:
            store.begin(self._identity(train_data), {"code": code_version()})
            self.logger.info(f"run folder: {store.folder} (if interrupted, go on with --run_dir={store.folder})")
        samples: list[Sample] = train_data._dataset.samples
        embeddings = self._read(train_data._dataset, "Read training prompts", show_progress)
        self.train_embeddings = embeddings
        self.partition = self._partition(samples, embeddings, store)
        adapters = self._train_shards(train_data, self.partition, store, show_progress)
        self.model.set_adapters(adapters)
        active = torch.tensor([a is not None for a in adapters])
        memory = self._fill_memory(valid_data._dataset, show_progress)
        self._set_rule(memory, active)
        if store:
            store.save_memory(memory, active)
            write_json(store.folder / "lineage.json", self._lineage(samples, valid_data._dataset.samples))
            store.seal({"chosen": {"tau": self.record.tau, "n_neighbors": self.record.n_neighbors}})
        return self._validate(valid_data, show_progress, callback_fn)

    @torch.no_grad()
    def evaluate(
        self, eval_data: Any, load_best_model: bool = True, model_file: Any = None, show_progress: bool = False
    ) -> dict[str, float]:
        """RecBole's metrics on ``eval_data``.

        Args:
            load_best_model: kept for RecBole's sake: APA keeps one state, and it is in memory after ``fit``.
            model_file: a run folder to load first.
        """
        if load_best_model and model_file is not None:
            self.load(RunStore(Path(model_file)))
        return super().evaluate(eval_data, load_best_model=False, show_progress=show_progress)

    def evaluate_scores(self, scores: Tensor, labels: Tensor) -> dict[str, float]:
        """RecBole's metrics of scores that are there already, (n,), for ``mode: labeled``."""
        self.eval_collector.eval_collect(scores, labels)
        return self.evaluator.evaluate(self.eval_collector.get_data_struct())

    def load(self, store: RunStore) -> None:
        """Take adapters, partition, memory and the chosen tau and n from a finished run."""
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

    def _read(self, dataset: Any, title: str, show_progress: bool) -> Tensor:
        """Frozen passes of all samples of a split: h, (n, d)."""
        start = time.perf_counter()
        prompts = self.model.prompts(dataset.labelled)
        n_cut, n_lines = sum(p.n_cut > 0 for p in prompts), sum(p.n_cut for p in prompts)
        if n_cut:
            limit = self.model.settings.prompts.max_prompt_tokens
            self.logger.info(
                f"{n_cut} of {len(prompts)} prompts lost {n_lines} of their oldest lines to fit {limit} tokens"
            )
        self.record.n_cut_prompts += n_cut
        self.record.n_cut_lines += n_lines
        size = self.model.engine.batch_size
        rows = [
            self.model.engine.embeddings(prompts[i : i + size])
            for i in progress(range(0, len(prompts), size), title, show_progress)
        ]
        self._add_seconds("read_prompts_seconds", start)
        return torch.cat(rows)

    def _partition(self, samples: Sequence[Sample], embeddings: Tensor, store: RunStore | None) -> Partition:
        start = time.perf_counter()
        settings = self.model.settings.partition
        partition = store.load_partition() if store else None
        if partition is None:
            n_shards = shard_count(len(samples), settings.n_shards, settings.shard_size)
            capacity = settings.shard_capacity or -(-len(samples) // n_shards)
            divide = PARTITIONERS[settings.partition]()
            ids = [s.sample_id for s in samples]
            partition = divide(ids, embeddings, n_shards, capacity, self.model.settings.seed)
            if store:
                store.save_partition(partition)
        self.record.sizes = partition.sizes()
        self._add_seconds("partition_seconds", start)
        empty = self.record.sizes.count(0)
        if empty:
            self.logger.warning(f"{empty} of {partition.n_shards} shards are empty and will not vote")
        self.logger.info(set_color("shards", "pink") + f": {partition.n_shards}, samples in each: {self.record.sizes}")
        return partition

    def _train_shards(
        self, train_data: ShardingDataLoader, partition: Partition, store: RunStore | None, show_progress: bool
    ) -> list[Factors | None]:
        settings = self.model.settings
        self.model.engine.bank.resize(1)
        trainer = ShardTrainer(self.model, show_progress)
        adapters: list[Factors | None] = []
        for shard in range(partition.n_shards):
            ids = partition.members(shard)
            if not ids:
                adapters.append(None)
                self.record.shards.append({})
                continue
            batches = train_data.shard(ids, settings.training.train_batch_size, settings.seed)
            key = shard_key(shard, batches.samples)
            done = store.finished_shard(shard, key) if store else None
            if done:
                self.logger.info(f"shard {shard + 1}/{partition.n_shards} is on disk already, not trained again")
                adapters.append(done[0])
                self.record.shards.append(done[1])
                continue
            start = time.perf_counter()
            factors, history = trainer.fit(shard, partition.n_shards, batches, self.tensorboard.add_scalar)
            seconds = time.perf_counter() - start
            self._add_seconds("train_shards_seconds", start)
            losses = ", ".join(f"{loss:.4f}" for loss in history.epoch_losses)
            self.logger.info(
                set_color(f"shard {shard + 1}/{partition.n_shards} training", "green")
                + f" [samples: {len(ids)}, time: {seconds:.1f}s, train loss per epoch: {losses}]"
            )
            if store:
                store.save_shard(shard, factors, self._peft_description(), history, key, seconds)
            adapters.append(factors)
            self.record.shards.append({"train_seconds": seconds, **vars(history)})
        return adapters

    def _fill_memory(self, dataset: Any, show_progress: bool) -> Memory:
        """Embeddings and each adapter's scores of the validation samples, in order of sample id."""
        embeddings = self._read(dataset, "Read validation prompts", show_progress)
        start = time.perf_counter()
        order = memory_order(dataset.samples)
        prompts = self.model.prompts(dataset.labelled)
        scores = self.adapter_scores([prompts[i] for i in order], "Score validation samples", show_progress)
        labels = torch.tensor([dataset.samples[i].label for i in order], dtype=torch.float32)
        users = number_users([dataset.samples[i].user_id for i in order])
        self._add_seconds("memory_seconds", start)
        return Memory(embeddings[order], scores, labels, users)

    def adapter_scores(self, prompts: Sequence[TokenizedPrompt], title: str, show_progress: bool) -> Tensor:
        """Each adapter alone, with a progress bar: (n, k)."""
        size = self.model.engine.batch_size
        steps = progress(range(0, len(prompts), size), title, show_progress)
        return torch.cat([self.model.engine.adapter_scores(prompts[i : i + size]) for i in steps])

    def _set_rule(self, memory: Memory, active: Tensor) -> None:
        """tau and n as given, or chosen on the memory."""
        given = self.model.settings.aggregation
        taus = TAU_GRID if given.tau == "auto" else (float(given.tau),)
        neighbors = NEIGHBOR_GRID if given.n_neighbors == "auto" else (int(given.n_neighbors),)
        best = choose_attention(memory, active, taus, neighbors)[0]
        n = best.n_neighbors if given.n_neighbors == "auto" else int(given.n_neighbors)
        self.record.tau, self.record.n_neighbors = best.tau, n
        self.logger.info(set_color("attention", "pink") + f": tau = {best.tau:g}, n = {n}")
        assert self.partition is not None
        self.model.set_rule(memory, self.partition.centres, active, best.tau, n)

    def _validate(
        self, valid_data: Any, show_progress: bool, callback_fn: Callable[[int, float], None] | None
    ) -> tuple[float, dict[str, float]]:
        """RecBole's metrics on the validation samples; their neighbours are those of other users."""
        start = time.perf_counter()
        dataset = valid_data._dataset
        if self.ranking:
            result = self.evaluate(valid_data, load_best_model=False, show_progress=show_progress)
        else:
            known = self.validation_scores(dataset)
            how = self.model.settings.aggregation.aggregation
            if how not in known:
                known[how] = self.aggregate(dataset, known["weights"], how, "Validate", show_progress)
            self.known_valid_scores = known
            result = self.evaluate_scores(known[how], dataset.labelled[self.config["LABEL_FIELD"]])
        self._add_seconds("validate_seconds", start)
        self.best_valid_result = result
        self.best_valid_score = calculate_valid_score(result, self.valid_metric)
        if callback_fn:
            callback_fn(len(self.record.sizes) - 1, self.best_valid_score)
        return self.best_valid_score, result

    def validation_scores(self, dataset: Any) -> dict[str, Tensor]:
        """What the memory knows of the validation samples, in the dataset's order: ``weights`` (v, k), ``alone``
        (v, k) and their ``prediction`` (v,)."""
        assert self.model.rule is not None
        order = memory_order(dataset.samples)
        weights, alone = (
            torch.empty_like(self.model.rule.memory.scores),
            torch.empty_like(self.model.rule.memory.scores),
        )
        weights[order], alone[order] = self.model.rule.of_memory(), self.model.rule.memory.scores
        return {"weights": weights, "alone": alone, "prediction": (weights * alone).sum(1)}

    def aggregate(self, dataset: Any, weights: Tensor, how: str, title: str, show_progress: bool) -> Tensor:
        """Scores of a split's samples with given weights, with a progress bar: (n, k) -> (n,)."""
        prompts = self.model.prompts(dataset.labelled)
        size = self.model.engine.batch_size
        steps = progress(range(0, len(prompts), size), title, show_progress)
        return torch.cat([self.model.aggregate(prompts[i : i + size], weights[i : i + size], how) for i in steps])

    def _identity(self, train_data: ShardingDataLoader) -> RunIdentity:
        dataset = train_data._dataset
        return RunIdentity(
            settings=self.model.settings.flat(),
            options=self.config.plain_options(),
            dataset=dataset.files_digest(),
            backbone=self.model.engine.backbone.digest,
            draw=dataset.cutoffs,
        )

    def _peft_description(self) -> PeftDescription:
        s = self.model.settings.adapters
        return PeftDescription(
            self.model.settings.backbone.backbone,
            s.lora_rank,
            s.lora_alpha,
            s.lora_dropout,
            s.target_modules,
            self.model.engine.decoder.upper_layers(),
        )

    def _lineage(self, train: Sequence[Sample], valid: Sequence[Sample]) -> dict[str, dict[str, str]]:
        """Artefact -> sample id -> digest of what the artefact saw of it."""
        assert self.partition is not None
        of_train = {s.sample_id: s.digest() for s in train}
        seen = {
            f"shards/{k:03d}": {name: of_train[name] for name in self.partition.members(k)}
            for k in range(self.partition.n_shards)
        }
        return {**seen, "partition": of_train, "memory.safetensors": {s.sample_id: s.digest() for s in valid}}

    def _add_seconds(self, name: str, start: float) -> None:
        self.record.seconds[name] = self.record.seconds.get(name, 0.0) + time.perf_counter() - start

    @property
    def ranking(self) -> bool:
        """Whether the metrics asked for rank candidates instead of judging labelled rows."""
        return self.config["eval_type"] == EvaluatorType.RANKING


def memory_order(samples: Sequence[Sample]) -> list[int]:
    """Positions in order of sample id: the order of the memory's rows."""
    return sorted(range(len(samples)), key=lambda i: samples[i].sample_id)


def number_users(user_ids: Sequence[str]) -> Tensor:
    """0, 1, 2, ... in order of first appearance, (n,), int64."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(user, len(numbers)) for user in user_ids], dtype=torch.int64)


def shard_key(shard: int, samples: Sequence[Sample]) -> str:
    """Changes when the shard's samples, or what they say, change."""
    return digest_of(shard, *sorted(s.digest() for s in samples)).hex()


def code_version() -> str:
    """The installed version of this package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("recbole-apa")
    except PackageNotFoundError:
        getLogger().debug("recbole-apa runs from a checkout that was not installed")
        return "checkout"
