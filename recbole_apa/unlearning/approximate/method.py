"""What an approximate method is, and the registry of their names.

Shapes: n samples of a side.
"""

from abc import ABC, abstractmethod
from dataclasses import is_dataclass
from typing import ClassVar, TypeVar

from torch import Tensor

from recbole_apa.adapters.training import ShardHistory
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.registry import Registry, require
from recbole_apa.unlearning.approximate.losses import Answers
from recbole_apa.unlearning.approximate.unlearner import ApproximateUnlearner, Sides


class ApproximateMethod(ABC):
    """Moves a trained adapter away from what it learnt from the forgotten samples.

    A frozen dataclass: its numeric fields are the method's options, as in ``NPO:beta=0.5``.
    """

    name: ClassVar[str]
    """The value of ``unlearn_method``, and the name of a row."""
    usual_rate_share: ClassVar[float] = 0.03
    """Learning rate as a share of the training's, if ``rate_share`` is not given: what came closest to retraining on
    development rows (benchmarks/step_sizes.py)."""

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

    @abstractmethod
    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """The loss of a batch, a scalar."""

    def taught(self, teacher: str, student: ApproximateUnlearner) -> Sides:
        """A teacher's answers on the forgotten and on the retained samples: logits, (n, 2) each."""
        forget, retain = (student.logits(part, adapter=teacher == "original") for part in ("forget", "retain"))
        return forget, retain

    def weights(self, student: ApproximateUnlearner) -> Sides:
        """How much each forgotten and each retained sample counts, (n,) each."""
        return student.ones()

    def move(self, student: ApproximateUnlearner) -> ShardHistory:
        """See :class:`ApproximateMethod`."""
        answers = {teacher: self.taught(teacher, student) for teacher in self.teachers}
        forget, retain = student.sides(answers, self.weights(student))
        return student.train(self, forget, retain, student.settings.most_epochs, student.forgotten())


APPROXIMATE_METHODS: Registry[ApproximateMethod] = Registry("approximate method")
A = TypeVar("A", bound=type[ApproximateMethod])


def register_approximate_method(cls: A) -> A:
    """Register a method by its ``name``; used as a class decorator.

    Raises:
        SettingsError: the name is taken, or the class lacks an attribute.
    """
    require(cls, ApproximateMethod, name=str, usual_rate_share=float)
    if not is_dataclass(cls):
        raise SettingsError(f"{cls.__qualname__} is not a dataclass; expected @dataclass(frozen=True) above it")
    APPROXIMATE_METHODS.add(cls.name, cls)
    return cls
