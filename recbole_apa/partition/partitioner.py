"""The ways of dividing samples into shards, by name; others can register their own."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeVar

from recbole_apa.core.ids import item_of as item_of
from recbole_apa.core.ids import user_of as user_of
from recbole_apa.core.registry import Registry, require
from recbole_apa.partition.assignment import Partition

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Collaborative:
    """The embeddings of a collaborative model trained only on the training rows. Shapes: c embedding size."""

    user_of: Mapping[str, str]
    """Sample id -> user."""
    item_of: Mapping[str, str]
    """Sample id -> target item."""
    user_vectors: "Mapping[str, Tensor]"
    """(c,) each."""
    item_vectors: "Mapping[str, Tensor]"
    """(c,) each."""


class Partitioner(ABC):
    """Divides samples into K shards.

    Forgetting is exact only if the result depends only on the arguments of a call, and not on the order of ``ids``:
    draw by :func:`~recbole_apa.core.seeding.hash_order`, break ties by sample id.
    """

    name: ClassVar[str]
    """The value of the option ``partition``."""
    takes_capacity: ClassVar[bool]
    """Whether it respects ``capacity``; if it does not, the option ``shard_capacity`` is rejected."""
    keeps_users_whole: ClassVar[bool] = False
    """Whether all samples of a user are in one shard, also of a user who joins the run later. A shard may then exceed
    the capacity: no user is divided to keep to it."""
    needs_collaborative: ClassVar[bool] = False
    """Whether it uses a :class:`Collaborative`; see :class:`~recbole_apa.partition.CollaborativePartitioner`."""
    collaborative_model: ClassVar[str | None] = None
    """The RecBole model whose user and item embeddings it uses; None if the ids of users and items are enough."""

    @abstractmethod
    def __call__(self, ids: Sequence[str], embeddings: "Tensor", n_shards: int, capacity: int, seed: int) -> Partition:
        """
        Args:
            ids: sample ids, (n,), all different.
            embeddings: h, (n, d).
            n_shards: K.
            capacity: t, the most samples a shard may have; K * t >= n.
            seed: the run's seed.

        Raises:
            PartitionError: the samples cannot be divided this way.
        """

    @classmethod
    def made_with(cls, known: Collaborative | None) -> "Partitioner":
        """A partitioner that is ready to be called.

        Args:
            known: the samples' collaborative model, if ``needs_collaborative``.
        """
        return cls()


PARTITIONERS: Registry[Partitioner] = Registry(
    "partition",
    {
        "semantic": "recbole_apa.partition.semantic",
        "semantic_user": "recbole_apa.partition.semantic_user",
        "random": "recbole_apa.partition.random",
        "user": "recbole_apa.partition.receraser",
        "item": "recbole_apa.partition.receraser",
        "interaction": "recbole_apa.partition.receraser",
        "bekm": "recbole_apa.partition.grapheraser",
        "blpa": "recbole_apa.partition.grapheraser",
    },
)
P = TypeVar("P", bound=type[Partitioner])


def register_partition(cls: P) -> P:
    """Class decorator that registers a partition under its ``name``.

    Raises:
        SettingsError: the name is taken, or the class is incomplete.
    """
    require(cls, Partitioner, name=str, takes_capacity=bool, keeps_users_whole=bool, needs_collaborative=bool)
    PARTITIONERS.add(cls.name, cls)
    return cls


def partition_problems(values: Mapping[str, object]) -> list[str]:
    """Messages about the options ``partition`` and ``shard_capacity``.

    Args:
        values: all options by name; values of the wrong type are reported elsewhere.
    """
    name = values.get("partition")
    if not isinstance(name, str):
        return []
    problem = PARTITIONERS.problem(name)
    if problem:
        return [problem]
    if values.get("shard_capacity") is not None and not PARTITIONERS[name].takes_capacity:
        *taking, last = (other for other, cls in PARTITIONERS.items() if cls.takes_capacity)
        return [f"shard_capacity needs partition: {', '.join(taking)} or {last}, found {name!r}"]
    return []
