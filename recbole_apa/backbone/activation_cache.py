"""A cache of frozen passes, keyed by the prompts' tokens.

Shapes: t tokens, d hidden size.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class FrozenPass:
    """The frozen model's result for a prompt; the same for every adapter."""

    activations: Tensor
    """Activations at the top of the trunk, (t, d), on the CPU, or still on the device for the pass that follows."""
    embedding: Tensor
    """h, (d,), float32, on the CPU."""
    offset: float = 0.0
    """What is added to the log odds of the target's answer; not cached."""


class ActivationCache:
    """Frozen passes by token ids, up to a number of bytes. What does not fit is recomputed when needed, except for the
    most recent passes: a prediction uses them twice, for its weights and for its score."""

    def __init__(self, max_bytes: float) -> None:
        self.max_bytes = max_bytes
        self.n_bytes = 0
        self._kept: dict[tuple[int, ...], FrozenPass] = {}
        self._last: dict[tuple[int, ...], FrozenPass] = {}

    def get(self, ids: tuple[int, ...]) -> FrozenPass | None:
        """The pass for these tokens, if cached."""
        return self._kept.get(ids) or self._last.get(ids)

    def put(self, ids: tuple[int, ...], frozen: FrozenPass) -> None:
        """Cache a pass, if there is room."""
        size = frozen.activations.nbytes + frozen.embedding.nbytes
        if ids not in self._kept and self.n_bytes + size <= self.max_bytes:
            self._kept[ids] = FrozenPass(frozen.activations.cpu(), frozen.embedding)
            self.n_bytes += size

    def put_last(self, passes: Mapping[tuple[int, ...], FrozenPass]) -> None:
        """Keep passes until the next call, whatever their size."""
        self._last = dict(passes)

    def copy(self) -> "ActivationCache":
        """Another cache with the same passes: removing one there does not remove it here."""
        other = ActivationCache(self.max_bytes)
        other._kept, other._last, other.n_bytes = dict(self._kept), dict(self._last), self.n_bytes
        return other

    def keep_only(self, wanted: Iterable[tuple[int, ...]]) -> None:
        """Remove all passes except those of the given prompts."""
        keep = set(wanted)
        self._last = {ids: frozen for ids, frozen in self._last.items() if ids in keep}
        self._kept = {ids: frozen for ids, frozen in self._kept.items() if ids in keep}
        self.n_bytes = sum(f.activations.nbytes + f.embedding.nbytes for f in self._kept.values())

    def __contains__(self, ids: tuple[int, ...]) -> bool:
        return ids in self._kept or ids in self._last
