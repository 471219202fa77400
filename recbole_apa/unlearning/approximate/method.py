"""What an approximate method is, and how one is registered.

Shapes: n samples of a side.
"""

from abc import ABC, abstractmethod
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from torch import Tensor

from recbole_apa.adapters.training import ShardHistory
from recbole_apa.core.errors import SettingsError, TrainingError
from recbole_apa.core.foreign_code import shown
from recbole_apa.core.registry import is_ours, require
from recbole_apa.unlearning.approximate.known import APPROXIMATE_METHODS, EXACT
from recbole_apa.unlearning.approximate.loop import BatchedSides, Side
from recbole_apa.unlearning.approximate.losses import Answers
from recbole_apa.unlearning.approximate.unlearner import ApproximateSettings, ApproximateUnlearner, Sides

OTHER_ROWS = frozenset(
    {"APA", "Retraining", "SISA", "RecEraser", "RecEraser-attention", "RecEraser-IBP", "RecEraser-InBP"}
    | {"GraphEraser", "GraphEraser-BLPA", "HistoryLikeRate", "ItemMean"}
    | {"Evidence", "Evidence-shown", "Evidence-fixed"}
    | {"paper", "recbole", "rules", "ablations", "evidence", "all"}
)
"""Names of other rows of a comparison, and of its groups, that a method could be given."""
GIVEN_TEACHERS = ("original", "base")
Setting = int | float | str


class ApproximateMethod(ABC):
    """Moves a trained adapter away from what it learnt from the forgotten samples.

    A frozen dataclass: its numeric fields are the method's options, as in ``NPO:beta=0.5``.
    """

    name: ClassVar[str]
    """The value of ``unlearn_method``, and the name of a row."""
    usual_rate_share: ClassVar[float] = 0.03
    """Learning rate as a share of the training's, if ``rate_share`` is not given: what came closest to retraining on
    development rows (benchmarks/step_sizes.py)."""

    def told(self, settings: ApproximateSettings) -> dict[str, Setting]:
        """What decides how far it moves the adapter, for the record: the method's own numbers and texts."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return {name: value for name, value in own.items() if isinstance(value, (int, float, str))}

    @abstractmethod
    def move(self, student: ApproximateUnlearner) -> ShardHistory:
        """Change the student, which starts as the trained adapter, in place.

        Returns:
            the history of its training; empty if nothing was trained step by step.

        Raises:
            TrainingError: a loss that is not finite.
        """


class LossMethod(ApproximateMethod):
    """A method that minimises a loss over batches of forgotten and retained samples, until the student is no surer of
    the forgotten ones than the original is of samples that it never saw."""

    teachers: ClassVar[tuple[str, ...]] = ()
    """Models whose answers the loss uses: ``original`` (before the request), ``base`` (without an adapter), or a
    teacher of the method's own, which :meth:`taught` makes."""
    lr_schedule: ClassVar[Literal["linear", "cosine", "constant"]] = "constant"
    """Of the learning rate, over the maximum number of passes."""

    @abstractmethod
    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """The loss of a batch, a scalar."""

    def taught(self, teacher: str, student: ApproximateUnlearner) -> Sides:
        """A teacher's answers on the forgotten and on the retained samples: logits, (n, 2) each.

        Raises:
            SettingsError: a teacher of the method's own, which the method has to make.
        """
        if teacher not in GIVEN_TEACHERS:
            raise SettingsError(
                f"approximate method {self.name}: found teacher {teacher!r}, expected {' or '.join(GIVEN_TEACHERS)}, "
                "or a `taught` of the method's own that makes it"
            )
        forget, retain = (student.logits(part, adapter=teacher == "original") for part in ("forget", "retain"))
        return forget, retain

    def weights(self, student: ApproximateUnlearner) -> Sides:
        """How much each forgotten and each retained sample counts, (n,) each."""
        return student.ones()

    def batched(self, student: ApproximateUnlearner, forget: Side, retain: Side) -> BatchedSides:
        """How the samples are batched: every forgotten one once an epoch, paired with as many retained ones."""
        return BatchedSides(forget, retain, student.settings.batch_size, student.seed)

    def told(self, settings: ApproximateSettings) -> dict[str, Setting]:
        """See :class:`ApproximateMethod`; with how it is trained."""
        share = self.usual_rate_share if settings.rate_share is None else settings.rate_share
        return {
            **super().told(settings),
            "rate_share": share,
            "lr_schedule": self.lr_schedule,
            "most_epochs": settings.most_epochs,
            "batch_size": settings.batch_size,
        }

    def move(self, student: ApproximateUnlearner) -> ShardHistory:
        """See :class:`ApproximateMethod`."""
        answers = {
            name: self._sides(f"teacher {name}", self.taught(name, student), student, 2) for name in self.teachers
        }
        weights = self._sides("weights", self.weights(student), student)
        sides = self.batched(student, *student.sides(answers, weights))
        return student.train(
            self._loss, sides, student.settings.most_epochs, student.forgotten(), lr_schedule=self.lr_schedule
        )

    def _loss(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """The loss of a batch, checked.

        Raises:
            TrainingError: not a scalar, or nothing that a gradient reaches.
        """
        loss = self(forget, retain, epoch)
        if not isinstance(loss, Tensor) or loss.ndim or not loss.is_floating_point():
            found = f"a tensor of shape {tuple(loss.shape)}, {loss.dtype}" if isinstance(loss, Tensor) else shown(loss)
            raise TrainingError(
                f"approximate method {self.name}: its loss is {found}; expected a scalar float tensor, e.g. the mean "
                "over a batch"
            )
        if not loss.requires_grad:
            raise TrainingError(
                f"approximate method {self.name}: its loss has no gradient; expected one that depends on forget.z or "
                "retain.z"
            )
        return loss

    def _sides(self, what: str, found: Sides, student: ApproximateUnlearner, *rest: int) -> Sides:
        """Tensors for both sides, checked: (n, *rest) each.

        Raises:
            TrainingError: other shapes, or no tensors.
        """
        wanted = [(len(student.parts[part]), *rest) for part in ("forget", "retain")]
        is_pair = isinstance(found, (tuple, list)) and all(isinstance(side, Tensor) for side in found)
        shapes = [tuple(side.shape) for side in found] if is_pair else shown(found)
        if shapes != wanted:
            raise TrainingError(
                f"approximate method {self.name}: found {what} {shapes}, expected two tensors of shapes {wanted[0]} "
                f"(forgotten samples) and {wanted[1]} (retained ones)"
            )
        return found


A = TypeVar("A", bound=type[ApproximateMethod])


def register_approximate_method(cls: A) -> A:
    """Register a method by its ``name``; used as a class decorator.

    Raises:
        SettingsError: the name is taken or another row's, the class lacks an attribute or is no frozen dataclass, or a
            teacher is not known.
    """
    require(cls, ApproximateMethod, name=str, usual_rate_share=float)
    if "__dataclass_params__" not in vars(cls):  # a base class may have been one
        raise SettingsError(f"{cls.__qualname__} is not a dataclass; expected @dataclass(frozen=True) above it")
    if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        raise SettingsError(f"{cls.__qualname__} is not frozen; expected @dataclass(frozen=True) above it")
    _refuse_other_rows(cls)
    if issubclass(cls, LossMethod):
        _refuse_unknown_teachers(cls)
    APPROXIMATE_METHODS.add(cls.name, cls)
    return cls


def _refuse_other_rows(cls: type[ApproximateMethod]) -> None:
    """
    Raises:
        SettingsError: the name would mean something else in a request or in a comparison.
    """
    if cls.name == EXACT:
        raise SettingsError(f"{cls.__qualname__}: the name {EXACT!r} is reserved for training again; choose another")
    if cls.name in OTHER_ROWS or (not is_ours(cls) and cls.name.lower() in _recbole_models()):
        raise SettingsError(
            f"{cls.__qualname__}: the name {cls.name!r} is that of another row of comparisons; choose another"
        )


def _recbole_models() -> set[str]:
    """RecBole's models in small letters: the names of its files. RecBole itself is not imported."""
    spec = find_spec("recbole")
    folders = spec.submodule_search_locations if spec else None
    return {path.stem for folder in folders or () for path in Path(folder).glob("model/*_recommender/*.py")}


def _refuse_unknown_teachers(cls: type[LossMethod]) -> None:
    """
    Raises:
        SettingsError: ``teachers`` is no tuple of names, or names one that nobody makes.
    """
    if not isinstance(cls.teachers, (tuple, list)) or not all(isinstance(name, str) for name in cls.teachers):
        raise SettingsError(
            f'{cls.__qualname__}: found teachers = {shown(cls.teachers)}, expected a tuple of names, e.g. ("original",)'
        )
    unknown = [name for name in cls.teachers if name not in GIVEN_TEACHERS]
    if unknown and cls.taught is LossMethod.taught:
        raise SettingsError(
            f"{cls.__qualname__}: found teacher {unknown[0]!r}, expected {' or '.join(GIVEN_TEACHERS)}, or a `taught` "
            "of its own that makes it"
        )
