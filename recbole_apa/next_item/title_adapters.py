"""An adapter for titles or codes of each shard, and what identifies the data behind it."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

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
class Taught:
    """What a training gives."""

    pairs: Mapping[str, tuple[Tensor, ...]]
    """Layer -> A and B."""
    exit_map: Tensor
    """Of the draft that goes with them, (d, d + 1)."""


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
