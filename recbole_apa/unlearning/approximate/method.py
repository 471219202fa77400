"""What an approximate method is, and the names by which they are known; others register theirs beside them.

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
    """Moves a trained adapter away from what it learnt of the forgotten samples.

    A frozen dataclass: fields that are numbers are the method's options, as in ``NPO:beta=0.5``.
    """

    name: ClassVar[str]
    """The value of ``unlearn_method``, and the name of a row."""
    usual_rate_share: ClassVar[float] = 0.03
    """Learning rate as a share of the training's, where ``rate_share`` does not say it: what came nearest to
    retraining on development rows (benchmarks/step_sizes.py)."""

    @abstractmethod
    def move(self, student: ApproximateUnlearner) -> ShardHistory:
        """Change the student, which starts as the trained adapter, in place.

        Returns:
            the course of its training; an empty one where nothing was trained step by step.

        Raises:
            TrainingError: a loss that is not finite.
        """


class LossMethod(ApproximateMethod):
    """A method that follows a loss over batches of forgotten and retained samples, until the student is no surer of the
    forgotten ones than the original is of samples that it never saw."""

    teachers: ClassVar[tuple[str, ...]] = ()
    """Models whose answers the loss looks at: ``original`` (before the request), ``base`` (without an adapter), or one
    of the method's own, which :meth:`taught` makes."""

    @abstractmethod
    def __call__(self, forget: Answers, retain: Answers, epoch: int) -> Tensor:
        """The loss of a batch, a scalar."""

    def taught(self, teacher: str, student: ApproximateUnlearner) -> Sides:
        """What a teacher says of the forgotten and of the retained samples: logits, (n, 2) each."""
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
    """Make a method known by its ``name``; stands as a decorator above the class.

    Raises:
        SettingsError: the name is taken, or the class lacks something.
    """
    require(cls, ApproximateMethod, name=str, usual_rate_share=float)
    if not is_dataclass(cls):
        raise SettingsError(f"{cls.__qualname__} is no dataclass; expected @dataclass(frozen=True) above it")
    APPROXIMATE_METHODS.add(cls.name, cls)
    return cls
