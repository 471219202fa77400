"""The rules for weighting adapters, by name; others can register their own. Pure torch.

Shapes: b batch, v memory rows, k shards, d embedding size.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from recbole_apa.adapters.aggregation import (
    Memory,
    adaptive_weights,
    direction,
    major_weights,
    neighbor_errors,
    semantic_weights,
)
from recbole_apa.core.registry import Registry, require


@dataclass(frozen=True)
class WeightRule:
    """A rule by name, with the data of a trained run, ready to be applied to embeddings."""

    name: str
    """One of :data:`WEIGHT_RULES`."""
    memory: Memory
    centres: Tensor
    """a_k, (k, d)."""
    active: Tensor
    """(k,), bool: shards with a trained adapter."""
    tau: float
    n_neighbors: int

    def __call__(self, h: Tensor) -> Tensor:
        """(b, d) -> weights (b, k), rows summing to 1; zeros while no shard has an adapter."""
        return self._weights(h, lambda: direction(h) @ self.memory.directions.T)

    def of_memory(self) -> Tensor:
        """Weights for the memory's own rows, (v, k), from the rows of other users."""
        return self._weights(self.memory.embeddings, self.memory.similarity_to_others)

    def _weights(self, h: Tensor, similarity: Callable[[], Tensor]) -> Tensor:
        if not bool(self.active.any()):
            return torch.zeros(len(h), len(self.active))
        rule = WEIGHT_RULES.find(self.name)
        looked_up = similarity() if rule.needs_memory else torch.empty(len(h), 0, dtype=torch.float64)
        return rule().weights(self, h, looked_up)


class Weighting(ABC):
    """One rule: how much each adapter counts for a sample."""

    name: ClassVar[str]
    """The value of the option ``weight_rule``."""
    needs_memory: ClassVar[bool]
    """Whether it uses the validation memory. The comparison does not fill one for a rule that does not."""

    @abstractmethod
    def weights(self, known: WeightRule, h: Tensor, similarity: Tensor) -> Tensor:
        """Weights of the adapters, (b, k): rows sum to 1, and an inactive adapter gets 0.

        Args:
            known: the run's data: ``memory``, ``centres``, ``active``, ``tau``, ``n_neighbors``.
            h: embeddings of the samples, (b, d).
            similarity: cosine similarity of each to the memory's rows, (b, v), float64; -inf for rows that must not be
                used. Without columns, (b, 0), if ``needs_memory`` is False.
        """


WEIGHT_RULES: Registry[Weighting] = Registry("weight_rule")
W = TypeVar("W", bound=type[Weighting])


def register_weight_rule(cls: W) -> W:
    """Class decorator that registers a rule under its ``name``.

    Raises:
        SettingsError: the name is taken, or the class is incomplete.
    """
    require(cls, Weighting, name=str, needs_memory=bool)
    WEIGHT_RULES.add(cls.name, cls)
    return cls


def weight_rule_problems(values: Mapping[str, object]) -> list[str]:
    """Messages about the option ``weight_rule``.

    Args:
        values: all options by name; values of the wrong type are reported elsewhere.
    """
    name = values.get("weight_rule")
    problem = WEIGHT_RULES.problem(name) if isinstance(name, str) else None
    return [problem] if problem else []


@register_weight_rule
class SampleAdaptive(Weighting):
    """The paper's attention: adapters that were right on similar samples count more (formulas 6-8)."""

    name = "sample_adaptive"
    needs_memory = True

    def weights(self, known: WeightRule, h: Tensor, similarity: Tensor) -> Tensor:
        """See :class:`Weighting`."""
        error = neighbor_errors(similarity, known.memory.errors, known.n_neighbors)
        return adaptive_weights(error, known.tau, known.active)


@register_weight_rule
class Average(Weighting):
    """All active adapters count the same."""

    name = "average"
    needs_memory = False

    def weights(self, known: WeightRule, h: Tensor, similarity: Tensor) -> Tensor:
        """See :class:`Weighting`."""
        return (known.active.float() / known.active.sum()).expand(len(h), -1)


@register_weight_rule
class Major(Weighting):
    """Only the adapter that was best on similar samples counts."""

    name = "major"
    needs_memory = True

    def weights(self, known: WeightRule, h: Tensor, similarity: Tensor) -> Tensor:
        """See :class:`Weighting`. The largest w_k is the smallest error, whatever tau: tau = 0 would make all equal."""
        error = neighbor_errors(similarity, known.memory.errors, known.n_neighbors)
        return major_weights(adaptive_weights(error, 1.0, known.active))


@register_weight_rule
class Semantic(Weighting):
    """Adapters count by how close the sample is to their shard's centre."""

    name = "semantic"
    needs_memory = False

    def weights(self, known: WeightRule, h: Tensor, similarity: Tensor) -> Tensor:
        """See :class:`Weighting`."""
        return semantic_weights(h, known.centres, known.active)
