"""An adapter for titles or codes of each shard, and what identifies the data behind it."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from recbole_apa.adapters.moments import Moment
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.seeding import digest_over
from recbole_apa.next_item.generation import ItemCodes
from recbole_apa.next_item.settings import NextItemSettings

SCALE = 2.0
"""s: alpha is twice the rank."""


@dataclass(frozen=True)
class TitleAdapter:
    """What one shard's users taught."""

    layers: tuple[str, ...]
    """Full names of the linear layers, sorted."""
    factors: tuple[Tensor, ...]
    """A, (r, d_in), and B, (d_out, r), of each layer in turn; float32."""
    lineage: str
    """Digest of the sequences behind it (:func:`lineage_of_shard`)."""

    @classmethod
    def of(cls, pairs: Mapping[str, tuple[Tensor, ...]], lineage: str) -> "TitleAdapter":
        """What a training gave, from sequences of a lineage."""
        layers = tuple(sorted(pairs))
        return cls(layers, tuple(part for name in layers for part in pairs[name]), lineage)

    @property
    def pairs(self) -> dict[str, tuple[Tensor, ...]]:
        """Layer -> A and B."""
        return {name: self.factors[2 * i : 2 * i + 2] for i, name in enumerate(self.layers)}


@dataclass(frozen=True)
class RestartPoint:
    """A shard's adapter as it was before one of its slices, and what its training goes on with."""

    adapter: TitleAdapter
    """Its lineage is that of the slices before (:func:`~recbole_apa.next_item.title_slices.lineage_of_prefix`)."""
    moments: tuple[Moment, ...]
    """AdamW's, of each factor in turn."""

    @classmethod
    def of(cls, left: "Left", lineage: str) -> "RestartPoint":
        """What the slices before left."""
        adapter = TitleAdapter.of(left.pairs, lineage)
        return cls(adapter, tuple(moment for name in adapter.layers for moment in left.moments[name]))

    @property
    def by_layer(self) -> dict[str, tuple[Moment, ...]]:
        """Layer -> the moments of A and B."""
        return {name: self.moments[2 * i : 2 * i + 2] for i, name in enumerate(self.adapter.layers)}


@dataclass(frozen=True)
class Left:
    """What the training of a slice leaves to the next one."""

    pairs: Mapping[str, tuple[Tensor, ...]]
    """Layer -> A and B."""
    moments: Mapping[str, tuple[Moment, ...]]
    """Layer -> those of A and B."""


@dataclass(frozen=True)
class Span:
    """Which slices of a shard are trained."""

    begin: int = 0
    """The first of them."""
    end: int | None = None
    """The one before which training ends; None: after the last, and the draft is trained as well."""
    point: RestartPoint | None = None
    """From before ``begin``; None: from the start that all shards have."""


WHOLE = Span()


@dataclass(frozen=True)
class Taught:
    """What a training gives."""

    pairs: Mapping[str, tuple[Tensor, ...]]
    """Layer -> A and B."""
    draft: Mapping[str, Tensor] | None
    """Of the draft that goes with them: name -> what it has learnt; None where training ended before the last slice."""
    left: tuple[Left, ...] = ()
    """What each of the trained slices left, but the last of all: before slices ``begin`` + 1, + 2, ..."""


def lineage_of_shard(
    shard: int, digests: Mapping[str, str], shard_of: Mapping[str, int], codes: ItemCodes | None = None
) -> str:
    """Digest of the sequences that a shard's adapter is trained on, and of the codes that it learns to write.

    Args:
        digests: of each user's sequence.
        shard_of: user -> shard.
        codes: None of titles.
    """
    own = sorted(user for user, k in shard_of.items() if k == shard)
    learnt = ("title adapter",) if codes is None else ("code adapter", codes.digest)
    return digest_over((*learnt, shard, *(part for user in own for part in (user, digests[user])))).hex()


def refuse_device(settings: NextItemSettings, device: str) -> None:
    """
    Raises:
        SettingsError: adapters are to be trained, and not on a CPU.
    """
    if settings.adapters != "none" and device.partition(":")[0] != "cpu":
        raise SettingsError(
            f"adapters: {settings.adapters} are trained on a CPU, found device {device}; set --device=cpu"
        )


def refuse_layers(settings: NextItemSettings, n_layers: int) -> None:
    """
    Args:
        n_layers: of the backbone.

    Raises:
        SettingsError: it has fewer layers than are to get adapters, or none is left below them for an exit to be
            aligned.
    """
    if settings.adapter_layers > n_layers:
        raise SettingsError(f"adapter_layers: found {settings.adapter_layers}, the backbone has {n_layers} layers")
    is_aligned_exit = settings.draft_objective != "none" and settings.draft_kind == "exit"
    if is_aligned_exit and settings.adapter_layers == n_layers:
        raise SettingsError(
            f"draft_objective: found {settings.draft_objective}, but all {n_layers} layers have adapters and there "
            "is no exit below them; expected adapter_layers below that, draft_kind: model, or draft_objective: none"
        )
