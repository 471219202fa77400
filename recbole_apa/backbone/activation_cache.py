"""Frozen passes of prompts, kept by their tokens.

Shapes: t tokens, d hidden size.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class FrozenPass:
    """What the frozen model says of a prompt; the same for every adapter."""

    activations: Tensor
    """At the trunk's top, (t, d), on the CPU; for the pass that follows perhaps where they were computed."""
    embedding: Tensor
    """h, (d,), float32, on the CPU."""


class ActivationCache:
    """Frozen passes by token ids, up to a number of bytes; what does not fit is computed again when needed, but for
    those that were asked for last: a prediction looks at them twice, for its weights and for its score."""

    def __init__(self, max_bytes: float) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._kept: dict[tuple[int, ...], FrozenPass] = {}
        self._last: dict[tuple[int, ...], FrozenPass] = {}

    def get(self, ids: tuple[int, ...]) -> FrozenPass | None:
        """The pass of these tokens, if it was kept."""
        return self._kept.get(ids) or self._last.get(ids)

    def put(self, ids: tuple[int, ...], frozen: FrozenPass) -> None:
        """Keep a pass, if there is room."""
        size = frozen.activations.nbytes + frozen.embedding.nbytes
        if ids not in self._kept and self.n_bytes + size <= self.max_bytes:
            self._kept[ids] = FrozenPass(frozen.activations.cpu(), frozen.embedding)
            self.n_bytes += size

    def put_last(self, passes: Mapping[tuple[int, ...], FrozenPass]) -> None:
        """Keep passes until the next ones come, however many bytes they have."""
        self._last = dict(passes)

    def copy(self) -> "ActivationCache":
        """Another cache with the same passes: what is forgotten there stays here."""
        other = ActivationCache(self.max_bytes)
        other._kept, other._last, other.n_bytes = dict(self._kept), dict(self._last), self.n_bytes
        return other

    def keep_only(self, wanted: Iterable[tuple[int, ...]]) -> None:
        """Forget every pass but those of the prompts named."""
        keep = set(wanted)
        self._last = {ids: frozen for ids, frozen in self._last.items() if ids in keep}
        self._kept = {ids: frozen for ids, frozen in self._kept.items() if ids in keep}
        self.n_bytes = sum(f.activations.nbytes + f.embedding.nbytes for f in self._kept.values())

    def __contains__(self, ids: tuple[int, ...]) -> bool:
        return ids in self._kept or ids in self._last
