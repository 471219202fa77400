"""Apply approximate methods to a single trained adapter, all with the same start, teachers and stopping rule."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.training import AdapterCourse, ShardHistory
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.errors import APAError, TrainingError
from recbole_apa.core.foreign_code import error_text, file_of, shown
from recbole_apa.core.registry import is_ours
from recbole_apa.core.seeding import derive_seed, hash_order
from recbole_apa.core.system.deterministic import repeatable
from recbole_apa.core.system.surroundings import explained
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.visible_data import VisibleData, key_of, last_added
from recbole_apa.model.apa import APA
from recbole_apa.unlearning.approximate.loop import BatchedSides, Side, unlearn_adapter
from recbole_apa.unlearning.approximate.losses import Objective

Sides = tuple[Tensor, Tensor]
"""A tensor for the forgotten samples, and one for the retained ones."""


class StudentMethod(Protocol):
    """What :meth:`ApproximateUnlearner.forget` needs of a method."""

    usual_rate_share: ClassVar[float]

    def move(self, student: "ApproximateUnlearner") -> ShardHistory:
        """Change the student in place."""
        ...


@dataclass(frozen=True)
class ApproximateSettings:
    """How the trained adapter is moved."""

    rate_share: float | None = None
    """Learning rate, as a share of the training's; None means the method's own ``usual_rate_share``."""
    most_epochs: int = 10
    """Maximum number of passes over the forgotten samples; fewer if they look like any others earlier."""
    batch_size: int = 8


@dataclass(frozen=True)
class Part:
    """Prompts with their samples' labels."""

    ids: list[str]
    prompts: list[TokenizedPrompt]
    labels: np.ndarray

    @classmethod
    def of(cls, dataset: APADataset, model: APA) -> "Part":
        """All samples of a part of a dataset, whatever data the model currently uses."""
        labels = np.array([s.label for s in dataset.samples])
        prompts = model.prompts_of(dataset)
        return cls([s.sample_id for s in dataset.samples], prompts, labels)

    def some(self, rows: Sequence[int]) -> "Part":
        """Some of the samples."""
        return Part([self.ids[i] for i in rows], [self.prompts[i] for i in rows], self.labels[list(rows)])

    @classmethod
    def untouched(cls, dataset: APADataset, model: APA, visible: VisibleData) -> "Part":
        """The samples of a part that show no hidden interaction."""
        added = last_added(dataset.raw_interactions, dataset.run_data.added_at)

        def is_hidden(interaction_id: str) -> bool:
            key = key_of(interaction_id)
            return visible.hides(key, added.get(key, 0))

        rows = [i for i, s in enumerate(dataset.samples) if not any(map(is_hidden, s.interaction_ids()))]
        return cls.of(dataset, model).some(rows)

    def __len__(self) -> int:
        return len(self.ids)


class ApproximateUnlearner:
    """Moves one trained adapter away from what is to be forgotten: the student is a copy of it that is trained further,
    not another adapter on top of it.

    Args:
        model: its bank is overwritten; ``forget`` leaves the moved adapter as the bank's only one.
        original: the trained adapter's factors.
        parts: ``forget`` (samples as the adapter saw them), ``retain`` (what remains of its samples) and ``valid``
            (samples that no adapter saw).
        level: how sure the trained adapter is of ``valid``, if known: the target for the forgotten samples.
    """

    def __init__(
        self,
        model: APA,
        original: Factors,
        parts: Mapping[str, Part],
        seed: int,
        settings: ApproximateSettings | None = None,
        level: float | None = None,
    ) -> None:
        self.model, self.original, self.parts, self.seed = model, original, parts, seed
        self.settings, self.level = settings or ApproximateSettings(), level
        self.engine = model.engine

    def forget(self, method: StudentMethod) -> tuple[float, ShardHistory]:
        """Run one method: its seconds, including teachers and influences, and the history of its training.

        Raises:
            TrainingError: a loss that is not finite, or a method from outside this package that fails.
        """
        start = time.perf_counter()
        self.restart()
        own = self.settings.rate_share
        self._rate_share = method.usual_rate_share if own is None else own
        with repeatable(self.engine.decoder.device, self.model.reproducible):
            history = self._moved_by(method)
        return time.perf_counter() - start, history

    def _moved_by(self, method: StudentMethod) -> ShardHistory:
        who = f"approximate method {getattr(method, 'name', type(method).__qualname__)}"
        try:
            history = method.move(self)
        except Exception as error:
            known = is_ours(type(method)) or who in str(error) or explained(error) is not None
            if known or (isinstance(error, APAError) and not isinstance(error, TrainingError)):
                raise
            if isinstance(error, TrainingError):
                raise TrainingError(f"{who}: {error}") from error
            raise TrainingError(f"{who} failed: {error_text(error, file_of(type(method)))}") from error
        if not isinstance(history, ShardHistory):
            raise TrainingError(f"{who}: its move returned {shown(history)}, expected a ShardHistory")
        return history

    def restart(self) -> None:
        """Reset the student to the trained adapter."""
        self.engine.bank.resize(1)
        self.engine.bank.load(0, self.original)

    def forgotten(self) -> Callable[[], bool]:
        """Whether the student is no surer of the forgotten samples than the original is of validation samples."""
        if not len(self.parts["valid"]):
            return lambda: False
        level = self._confidence("valid") if self.level is None else self.level
        self.level = level
        return lambda: self._confidence("forget") <= level

    def _confidence(self, part: str) -> float:
        z, labels = self.logits(part, adapter=True), torch.from_numpy(self.parts[part].labels).long()
        own = torch.log_softmax(z, 1)[torch.arange(len(labels)), labels]
        return float(own.exp().mean())

    def logits(self, part: str, adapter: bool) -> Tensor:
        """z_no and z_yes of a part under the current student, or under the frozen model: (n, 2), without gradients."""
        return self.engine.answer_logits(self.parts[part].prompts, adapter=adapter)

    def train(
        self,
        objective: Objective,
        sides: BatchedSides,
        epochs: int,
        enough: Callable[[], bool],
        lr_schedule: Literal["linear", "cosine", "constant"] = "constant",
    ) -> ShardHistory:
        """Train the student to minimise a loss.

        Args:
            sides: both sides as :meth:`sides` makes them, batched.
            epochs: maximum number of passes.
            enough: called after each pass; True ends the training.
            lr_schedule: of the learning rate over all these passes.

        Raises:
            TrainingError: a loss that is not finite.
        """
        trained = self.model.settings.training
        settings = replace(
            trained,
            epochs=epochs,
            learning_rate=trained.learning_rate * self._rate_share,
            lr_schedule=lr_schedule,
            warmup_ratio=0.0,
            stopping_patience=None,
        )
        with self.trained() as parameters:
            course = AdapterCourse(parameters, sides.n_batches, settings, 0, self.engine.bank.kind.parameter_groups)
            return unlearn_adapter(course, sides, objective, enough)

    @contextmanager
    def trained(self) -> Iterator[list[nn.Parameter]]:
        """The student's parameters, with gradients and dropout switched on meanwhile."""
        bank = self.engine.bank
        bank.train(True)
        try:
            yield bank.parameters()
        finally:
            bank.train(False)

    @contextmanager
    def differentiable(self) -> Iterator[list[nn.Parameter]]:
        """The student's parameters, with gradients but without dropout meanwhile."""
        parameters = self.engine.bank.parameters()
        for parameter in parameters:
            parameter.requires_grad_(True)
        try:
            yield parameters
        finally:
            for parameter in parameters:
                parameter.requires_grad_(False)

    def shift(self, step: Tensor) -> None:
        """Add a step, (p,), to the student's parameters, in their order."""
        parameters = self.engine.bank.parameters()
        with torch.no_grad():
            for parameter, part in zip(parameters, step.split([p.numel() for p in parameters]), strict=True):
                parameter.add_(part.view_as(parameter).to(parameter))

    def ones(self) -> Sides:
        """A weight of 1 for each forgotten and each retained sample."""
        return torch.ones(len(self.parts["forget"])), torch.ones(len(self.parts["retain"]))

    def sides(self, teachers: Mapping[str, Sides], weights: Sides) -> tuple[Side, Side]:
        """The forgotten and the retained samples, as input for :meth:`train`.

        Args:
            teachers: name -> each teacher's logits on both sides, (n, 2) each.
            weights: (n,) each.
        """
        forget, retain = (
            self._side(self.parts[part], {name: z[i] for name, z in teachers.items()}, weights[i])
            for i, part in enumerate(("forget", "retain"))
        )
        return forget, retain

    def _side(self, part: Part, teachers: dict[str, Tensor], weights: Tensor) -> Side:
        device = self.engine.decoder.device
        coins = [derive_seed(self.seed, "coin", sample_id) % 2 for sample_id in part.ids]
        return Side(
            part.ids,
            torch.from_numpy(part.labels).to(device),
            lambda rows: self.engine.student_logits([part.prompts[i] for i in rows]),
            {name: z.to(device) for name, z in teachers.items()},
            torch.tensor(coins, device=device),
            weights.to(device),
        )

    def retained_order(self) -> list[int]:
        """Rows of the retained samples, ordered by hash: the first n are n of them drawn at random."""
        return hash_order(self.parts["retain"].ids, self.seed, "influence")

    def loss(self, part: str, rows: Sequence[int]) -> Tensor:
        """Mean negative log-likelihood of some rows' own labels under the student, with gradients."""
        of = self.parts[part]
        z = self.engine.student_logits([of.prompts[i] for i in rows])
        return F.cross_entropy(z, torch.from_numpy(of.labels[list(rows)]).to(z.device).long())

    def margin(self, part: str, row: int) -> Tensor:
        """z_yes - z_no of one sample under the student, with gradients: a scalar."""
        z = self.engine.student_logits([self.parts[part].prompts[row]])[0]
        return z[1] - z[0]
