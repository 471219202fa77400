"""Approximate methods on the trained single adapter: the same start, teachers and stopping rule for all of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from recbole_apa.adapters.bank import Factors
from recbole_apa.adapters.training import AdapterCourse, ShardHistory
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.core.seeding import derive_seed, hash_order
from recbole_apa.core.settings import TrainSettings
from recbole_apa.core.system.deterministic import repeatable
from recbole_apa.data.visible_data import VisibleData, key_of
from recbole_apa.model.apa import APA
from recbole_apa.unlearning.approximate.influence import influence_weights, sample_gradients, scores_of_influence
from recbole_apa.unlearning.approximate.loop import Side, unlearn_adapter
from recbole_apa.unlearning.approximate.losses import OBJECTIVES, GradDiff, Objective
from recbole_apa.unlearning.approximate.newton import hessian_product, solve_damped

NEWTON = "LLMEraser"
MOST_DAMPING = 1e4
RATE_SHARE, RATE_SHARES = 0.03, {"E2URec": 0.1}
NAMES = (*OBJECTIVES, NEWTON)


@dataclass(frozen=True)
class ApproximateSettings:
    """How the trained adapter is moved."""

    rate_share: float | None = None
    """Learning rate, as a share of the training's; None takes the method's of ``RATE_SHARES``, or .03: what came
    nearest to retraining on development rows (benchmarks/step_sizes.py)."""
    most_epochs: int = 10
    """Passes over the forgotten samples; fewer where they look like any others before."""
    batch_size: int = 8
    augment_epochs: int = 3
    """Passes of E2URec's augmented teacher over the forgotten samples."""
    tau_forget: float = 0.7
    tau_retain: float = 1.2
    """RapidUn's sharpness of the weights."""
    retain_per_forget: int = 3
    """Retained samples for each forgotten one, whose influence RapidUn and whose curvature LLMEraser looks at."""
    damping: float = 0.1
    """LLMEraser's lambda; ten times as much, and again, where the Hessian is not positive with it."""
    newton_steps: int = 10


@dataclass(frozen=True)
class Part:
    """Prompts with their samples' labels."""

    ids: list[str]
    prompts: list[TokenizedPrompt]
    labels: np.ndarray

    @classmethod
    def of(cls, dataset: Any, model: APA) -> "Part":
        """All samples of a part of a dataset, whatever data the model has in hand."""
        labels = np.array([s.label for s in dataset.samples])
        prompts = model.engine.encode(dataset.prompt_inputs(dataset.samples))
        return cls([s.sample_id for s in dataset.samples], prompts, labels)

    def some(self, rows: Sequence[int]) -> "Part":
        """Some of the samples."""
        return Part([self.ids[i] for i in rows], [self.prompts[i] for i in rows], self.labels[list(rows)])

    @classmethod
    def untouched(cls, dataset: Any, model: APA, visible: VisibleData) -> "Part":
        """The samples of a part that show nothing that is hidden."""
        rows = [
            i for i, s in enumerate(dataset.samples) if not any(visible.hides(key_of(x)) for x in s.interaction_ids())
        ]
        return cls.of(dataset, model).some(rows)

    def __len__(self) -> int:
        return len(self.ids)


class ApproximateUnlearner:
    """Moves one trained adapter away from what is to be forgotten: the student is a copy of it that is trained on, and
    not a further adapter on top of it.

    Args:
        model: its bank is overwritten; ``forget`` leaves the moved adapter in its one place.
        original: the trained adapter's factors.
        parts: ``forget`` (samples as the adapter saw them), ``retain`` (what remains of its samples) and ``valid``
            (samples that no adapter saw).
        level: how sure the trained adapter is of ``valid``, where it is known: forgotten samples are taken down to it.
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

    def forget(self, name: str, objective: Objective | None = None) -> tuple[float, ShardHistory]:
        """Seconds of one method, its teachers and influences among them, and the course of its training.

        Args:
            objective: the method's loss with other weights than usual.

        Raises:
            TrainingError: a loss that is not finite.
        """
        start = time.perf_counter()
        self._restart()
        own = self.settings.rate_share
        self._rate_share = RATE_SHARES.get(name, RATE_SHARE) if own is None else own
        history = ShardHistory()
        with repeatable(self.engine.decoder.device, self.model.reproducible):
            if name == NEWTON:
                self._newton_step()
            else:
                objective = objective or OBJECTIVES[name]
                forget, retain = self._sides(name, objective)
                history = self._train(objective, forget, retain, self.settings.most_epochs, self._forgotten())
        return time.perf_counter() - start, history

    def _restart(self) -> None:
        self.engine.bank.resize(1)
        self.engine.bank.load(0, self.original)

    def _forgotten(self) -> Callable[[], bool]:
        """Whether the student is no surer of the forgotten samples than the original is of validation samples."""
        if not len(self.parts["valid"]):
            return lambda: False
        level = self._confidence(self.parts["valid"]) if self.level is None else self.level
        self.level = level
        return lambda: self._confidence(self.parts["forget"]) <= level

    def _confidence(self, part: Part) -> float:
        z = self.engine.answer_logits(part.prompts, adapter=True)
        own = torch.log_softmax(z, 1)[torch.arange(len(part)), torch.from_numpy(part.labels).long()]
        return float(own.exp().mean())

    def _train(
        self, objective: Objective, forget: Side, retain: Side, epochs: int, enough: Callable[[], bool]
    ) -> ShardHistory:
        bank, trained = self.engine.bank, self.model.settings.training
        settings = TrainSettings(
            **{
                **vars(trained),
                "epochs": epochs,
                "learning_rate": trained.learning_rate * self._rate_share,
                "lr_schedule": "constant",
                "warmup_ratio": 0.0,
                "stopping_patience": None,
            }
        )
        n_batches = -(-len(forget.ids) // self.settings.batch_size)
        course = AdapterCourse(bank.parameters(), n_batches, settings, 0)
        bank.train(True)
        try:
            return unlearn_adapter(course, forget, retain, objective, enough, self.settings.batch_size, self.seed)
        finally:
            bank.train(False)

    def _sides(self, name: str, objective: Objective) -> tuple[Side, Side]:
        parts = self.parts["forget"], self.parts["retain"]
        teachers: dict[str, tuple[Tensor, Tensor]] = {}
        for teacher in objective.teachers:
            if teacher == "augmented":
                teachers[teacher] = self._augmented()
            else:
                teachers[teacher] = tuple(  # type: ignore[assignment]
                    self.engine.answer_logits(part.prompts, adapter=teacher == "original") for part in parts
                )
        weights = self._influences() if name == "RapidUn" else tuple(torch.ones(len(part)) for part in parts)
        forget, retain = (
            self._side(part, {k: v[i] for k, v in teachers.items()}, weights[i]) for i, part in enumerate(parts)
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

    def _augmented(self) -> tuple[Tensor, Tensor]:
        """E2URec's second teacher: trained further on what is to be forgotten."""
        parts = self.parts["forget"], self.parts["retain"]
        sides = [self._side(part, {}, torch.ones(len(part))) for part in parts]
        further = GradDiff(forget_weight=-1.0, retain_weight=0.0)
        self._train(further, sides[0], sides[1], self.settings.augment_epochs, lambda: False)
        found = self.engine.answer_logits(parts[0].prompts, adapter=True)
        self._restart()
        return found, torch.zeros(len(parts[1]), 2)

    def _some_retained(self) -> list[int]:
        n = self.settings.retain_per_forget * len(self.parts["forget"])
        return hash_order(self.parts["retain"].ids, self.seed, "influence")[:n]

    def _influences(self) -> tuple[Tensor, Tensor]:
        """RapidUn's weights of forgotten and retained samples; retained ones that were not looked at count 1."""
        forget, retain = self.parts["forget"], self.parts["retain"]
        chosen = self._some_retained()
        of_forget = self._gradients(forget, range(len(forget)))
        of_retain = self._gradients(retain, chosen)
        forget_scores, retain_scores = scores_of_influence(of_forget, of_retain)
        weights = torch.ones(len(retain))
        weights[chosen] = influence_weights(retain_scores, self.settings.tau_retain)
        return influence_weights(forget_scores, self.settings.tau_forget), weights

    def _gradients(self, part: Part, rows: Sequence[int]) -> Tensor:
        bank = self.engine.bank
        bank.train(True)
        try:
            return sample_gradients(lambda i: self._loss(part, [rows[i]]), len(rows), bank.parameters())
        finally:
            bank.train(False)

    def _loss(self, part: Part, rows: Sequence[int]) -> Tensor:
        z = self.engine.student_logits([part.prompts[i] for i in rows])
        return F.cross_entropy(z, torch.from_numpy(part.labels[list(rows)]).to(z.device).long())

    def _mean(self, of_loss: Callable[[Tensor], Sequence[Tensor]], part: Part, rows: Sequence[int]) -> list[Tensor]:
        """Mean over samples of what is linear in their losses, a batch at a time: all at once would not fit."""
        size = self.settings.batch_size
        out = [torch.zeros_like(p) for p in self.engine.bank.parameters()]
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            found = of_loss(self._loss(part, batch))
            out = [total + len(batch) / len(rows) * x for total, x in zip(out, found, strict=True)]
        return out

    def _solve(self, product: Callable[[list[Tensor]], list[Tensor]], b: list[Tensor]) -> list[Tensor]:
        damping = self.settings.damping
        while True:
            step, positive = solve_damped(product, b, damping, self.settings.newton_steps, 1e-3)
            if positive or damping >= MOST_DAMPING:
                return step
            damping *= 10
            getLogger().info(f"{NEWTON}: the Hessian is not positive; damping {damping:g}")

    def _newton_step(self) -> None:
        """theta + (H + damping I)^-1 sum over forgotten samples of grad l, over N."""
        bank, forget, retain = self.engine.bank, self.parts["forget"], self.parts["retain"]
        parameters = bank.parameters()
        chosen = self._some_retained()
        n = len(forget) + len(retain)

        def gradient(loss: Tensor) -> Sequence[Tensor]:
            return torch.autograd.grad(loss, parameters)

        bank.train(True)
        try:
            b = [g * len(forget) / n for g in self._mean(gradient, forget, range(len(forget)))]

            def product(v: list[Tensor]) -> list[Tensor]:
                return self._mean(lambda loss: hessian_product(loss, parameters, v), retain, chosen)

            # the fast kernels of attention can be differentiated once only
            with sdpa_kernel(SDPBackend.MATH):
                step = self._solve(product, b)
        finally:
            bank.train(False)
        with torch.no_grad():
            for parameter, part in zip(parameters, step, strict=True):
                parameter.add_(part)
