"""The ways of dividing samples into shards, by name; others register theirs beside them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from torch import Tensor

from recbole_apa.core.registry import Registry, require
from recbole_apa.partition.assignment import Partition


@dataclass(frozen=True)
class Collaborative:
    """What a model of users and items, trained on the training rows alone, says. Shapes: c size of its embeddings."""

    user_of: Mapping[str, str]
    """Sample id -> user."""
    item_of: Mapping[str, str]
    """Sample id -> target item."""
    user_vectors: Mapping[str, Tensor]
    """(c,) each."""
    item_vectors: Mapping[str, Tensor]
    """(c,) each."""


class Partitioner(ABC):
    """Divides samples into K shards.

    Forgetting is exact only if the result depends on the arguments of a call alone, and not on the order of ``ids``:
    draw by :func:`~recbole_apa.core.seeding.hash_order`, break ties by sample id.
    """

    name: ClassVar[str]
    """The value of the option ``partition``."""
    takes_capacity: ClassVar[bool]
    """Whether it keeps to ``capacity``; where it does not, the option ``shard_capacity`` is refused."""
    needs_collaborative: ClassVar[bool] = False
    """Whether it looks at a :class:`Collaborative`; see :class:`~recbole_apa.partition.CollaborativePartitioner`."""
    collaborative_model: ClassVar[str | None] = None
    """The RecBole model whose embeddings of users and items it looks at; None where users and items are enough."""

    @abstractmethod
    def __call__(self, ids: Sequence[str], embeddings: Tensor, n_shards: int, capacity: int, seed: int) -> Partition:
        """
        Args:
            ids: sample ids, (n,), all different.
            embeddings: h, (n, d).
            n_shards: K.
            capacity: t, the most samples a shard takes; K * t >= n.
            seed: the run's.

        Raises:
            PartitionError: the samples cannot be divided so.
        """

    @classmethod
    def made_with(cls, known: Collaborative | None) -> "Partitioner":
        """One that is ready to be called.

        Args:
            known: the collaborative model of the samples, where ``needs_collaborative`` asks for it.
        """
        return cls()


PARTITIONERS: Registry[Partitioner] = Registry("partition")
P = TypeVar("P", bound=type[Partitioner])


def register_partition(cls: P) -> P:
    """Make a partition known by its ``name``; stands as a decorator above the class.

    Raises:
        SettingsError: the name is taken, or the class lacks something.
    """
    require(cls, Partitioner, name=str, takes_capacity=bool, needs_collaborative=bool)
    PARTITIONERS.add(cls.name, cls)
    return cls


def partition_problems(values: Mapping[str, object]) -> list[str]:
    """What is wrong with the options ``partition`` and ``shard_capacity``, in words.

    Args:
        values: all options by name; those of a wrong type are left to whoever looks at types.
    """
    name = values.get("partition")
    if not isinstance(name, str):
        return []
    problem = PARTITIONERS.problem(name)
    if problem:
        return [problem]
    if values.get("shard_capacity") is not None and not PARTITIONERS[name].takes_capacity:
        taking = " or ".join(other for other, cls in PARTITIONERS.items() if cls.takes_capacity)
        return [f"shard_capacity needs partition: {taking}, found {name!r}"]
    return []
