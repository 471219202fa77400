"""APA, the RecBole recommender (Hu et al., "Exact and Efficient Unlearning for Large Language Model-based
Recommendation", arXiv 2404.10327).

Shapes: b batch, k shards, d hidden size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import AbstractRecommender
from recbole.utils import EvaluatorType, InputType, ModelType
from torch import Tensor

from recbole_apa.adapters.aggregation import Memory
from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.weight_rules import WeightRule
from recbole_apa.backbone.candidate_scoring import ListScorer
from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.load import load_backbone
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.collaborative.combination import SILENT
from recbole_apa.core.errors import RunError
from recbole_apa.core.progress import progress
from recbole_apa.data.dataset import LABEL_LIST_SUFFIX, APADataset
from recbole_apa.data.prompts import PromptInput
from recbole_apa.data.recbole_settings import read_execution
from recbole_apa.model.settings import read_checked_settings

if TYPE_CHECKING:
    from recbole.config import Config

GIB = 1 << 30


class NumberedItems(Protocol):
    """What the model takes from a dataset."""

    @property
    def item_texts(self) -> Sequence[str]:
        """Item texts by the numbers of its rows; number 0 is padding."""
        ...

    @property
    def item_num(self) -> int:
        """How many numbers there are, the padding's included."""
        ...


NO_OPINION = SILENT
"""The score of every sample while no shard has an adapter: log odds of 0."""


class APA(AbstractRecommender):
    """A frozen language model with K adapters, merged separately for every sample.

    During training, ``calculate_loss`` uses the adapter at index 0; after ``set_adapters`` and ``set_rule``
    (``APATrainer.fit`` calls them), ``predict`` answers with all K merged in parameter space.

    Args:
        config: an ``APAConfig``.
        dataset: the training part of an :class:`APADataset`, or what a worker was sent of it.
    """

    type = ModelType.SEQUENTIAL
    input_type = InputType.POINTWISE

    def __init__(self, config: "Config", dataset: NumberedItems) -> None:
        super().__init__()
        self.settings = read_checked_settings(config)
        self.device = config["device"]
        self._item_field = config["ITEM_ID_FIELD"]
        self._item_list_field = config["ITEM_ID_FIELD"] + config["LIST_SUFFIX"]
        self._length_field = config["ITEM_LIST_LENGTH_FIELD"]
        self._label_field = config["LABEL_FIELD"]
        self._label_list_field = config["LABEL_FIELD"] + LABEL_LIST_SUFFIX
        self.use_dataset(dataset)
        execution = read_execution(config)
        backbone = load_backbone(self.settings.backbone, self.device, execution.placement)
        self.backbone = backbone.model
        self.engine = ScoringEngine(
            backbone,
            self.settings.backbone,
            self.settings.prompts,
            self.settings.adapters,
            cache_bytes=execution.trunk_cache_gib * GIB,
            gradient_checkpointing=execution.placement.gradient_checkpointing,
        )
        self.reproducible = bool(config["reproducibility"])
        self.lists = ListScorer(self.engine)
        self._ranks = config["eval_type"] == EvaluatorType.RANKING
        self.rule: WeightRule | None = None

    def to(self, *where: object, **how: object) -> "APA":
        """As in torch; a backbone that is spread over devices is not moved."""
        return self if hasattr(self.backbone, "hf_device_map") else super().to(*where, **how)

    def use_dataset(self, dataset: NumberedItems) -> None:
        """Use the item ids and texts of another dataset: internal ids may change when rows are forgotten."""
        self.item_texts = dataset.item_texts
        self.n_items = dataset.item_num

    def prompt_inputs(self, interaction: Interaction) -> list[PromptInput]:
        """The prompt input of each RecBole row: ranked candidates share one sample's history, with other targets."""
        targets = interaction[self._item_field].tolist()
        items = interaction[self._item_list_field].tolist()
        labels = interaction[self._label_list_field].tolist()
        lengths = interaction[self._length_field].tolist()
        return [
            PromptInput(
                tuple((self.item_texts[i], y) for i, y in zip(row[:n], answers[:n], strict=True)),
                self.item_texts[target],
            )
            for target, row, answers, n in zip(targets, items, labels, lengths, strict=True)
        ]

    def prompts(self, interaction: Interaction) -> list[TokenizedPrompt]:
        """Each row's prompt as tokens."""
        return self.engine.encode(self.prompt_inputs(interaction))

    def prompts_of(self, part: APADataset) -> list[TokenizedPrompt]:
        """The prompts of a part's samples, in order, whatever dataset the model currently uses."""
        return self.engine.encode(part.prompt_inputs(part.samples))

    def item_embeddings(self) -> Tensor:
        """h of each distinct item text on its own, without any history, in sorted order: (m, d)."""
        texts = sorted({text for text in self.item_texts if text})
        return self.engine.embeddings(self.engine.encode([PromptInput((), text) for text in texts]))

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """Negative log-likelihood of the answers with the adapter at index 0."""
        return self.losses_of_shards({0: interaction})[0]

    def losses_of_shards(self, batches: Mapping[int, Interaction]) -> list[Tensor]:
        """The same for several adapters in one pass.

        Args:
            batches: index of the adapter -> its rows, in order of index.

        Returns:
            a scalar for each, in the same order.
        """
        prompts = [prompt for batch in batches.values() for prompt in self.prompts(batch)]
        labels = torch.cat([batch[self._label_field] for batch in batches.values()])
        owners = [place for place, batch in batches.items() for _ in range(len(batch))]
        return self.engine.training_losses(prompts, labels, owners, self.settings.training)

    def predict(self, interaction: Interaction) -> Tensor:
        """s for each row, (b,): one pass, or K for ``aggregation: prediction``. When ranking candidates, rows with
        the same history share its computation."""
        return self._score_rows(interaction, self._ranks)

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """s for each row and every item, (b, n_items)."""
        rows = []
        for i in range(len(interaction)):
            row = interaction[[i]].repeat(self.n_items - 1)
            row.update(Interaction({self._item_field: torch.arange(1, self.n_items)}))
            rows.append(torch.cat([torch.zeros(1), self._score_rows(row, True).cpu()]))
        return torch.stack(rows).to(self.device)

    def _score_rows(self, interaction: Interaction, are_lists: bool) -> Tensor:
        prompts = self.prompts(interaction)
        if are_lists and self.settings.backbone.shared_prefixes:
            return self.score_lists(prompts).to(self.device)
        return self.aggregate(prompts, self.weights(prompts)).to(self.device)

    def weights(self, prompts: Sequence[TokenizedPrompt], rule: str | None = None) -> Tensor:
        """How much each adapter counts for each prompt, (b, k).

        Args:
            rule: another weight rule, by name, instead of the one set.

        Raises:
            RunError: the model is not trained yet.
        """
        chosen = self._trained_rule if rule is None else replace(self._trained_rule, name=rule)
        return chosen(self.engine.embeddings(prompts))

    @property
    def _trained_rule(self) -> WeightRule:
        if self.rule is None:
            raise RunError("this APA has no trained adapters: call APATrainer.fit first, or load a run")
        return self.rule

    def aggregate(self, prompts: Sequence[TokenizedPrompt], weights: Tensor, how: str | None = None) -> Tensor:
        """Scores with the given weights, (b,), by ``how`` (default: the setting ``aggregation``); :data:`NO_OPINION`
        where all weights are 0."""
        if not bool(weights.any()):
            return torch.full((len(prompts),), NO_OPINION)
        how = how or self.settings.aggregation.aggregation
        if how == "prediction":
            return (weights * self.engine.adapter_scores(prompts)).sum(1)
        return self.engine.scores(prompts, weights, "decomposition" if how == "decomposition" else "non_decomposition")

    def aggregate_in_steps(
        self, prompts: Sequence[TokenizedPrompt], weights: Tensor, how: str, title: str, show_progress: bool
    ) -> Tensor:
        """As :meth:`aggregate`, some prompts at a time, with a progress bar: (n, k) -> (n,)."""
        if not prompts:
            return torch.empty(0)
        size = self.engine.step_size
        steps = progress(range(0, len(prompts), size), title, show_progress)
        return torch.cat([self.aggregate(prompts[i : i + size], weights[i : i + size], how) for i in steps])

    def score_lists(
        self, prompts: Sequence[TokenizedPrompt], rule: WeightRule | None = None, how: str | None = None
    ) -> Tensor:
        """Scores of prompts many of which have a common prefix, (n,); the same as :meth:`aggregate`, within rounding.

        Args:
            rule: a weight rule to use instead of the one set.
            how: an aggregation to use instead of the setting ``aggregation``.
        """
        if not bool((rule or self._trained_rule).active.any()):
            return torch.full((len(prompts),), NO_OPINION)
        how = how or self.settings.aggregation.aggregation
        lists = self.lists.read(prompts)
        weights = [(rule or self._trained_rule)(x.embeddings) for x in lists]
        if how == "prediction":
            return (self.lists.spread(lists, weights) * self.lists.adapter_scores(lists)).sum(1)
        return self.lists.scores(lists, weights, "decomposition" if how == "decomposition" else "non_decomposition")

    def set_adapters(self, adapters: Sequence[Factors | None]) -> None:
        """Stack K adapters; None means an empty shard, which never votes."""
        self.engine.bank.resize(len(adapters))
        for k, factors in enumerate(adapters):
            if factors is not None:
                self.engine.bank.load(k, factors)

    def set_rule(self, memory: Memory, centres: Tensor, active: Tensor, tau: float, n_neighbors: int) -> None:
        """Make the model ready to predict."""
        self.rule = WeightRule(
            self.settings.aggregation.weight_rule, memory, centres, active, tau=tau, n_neighbors=n_neighbors
        )
