"""A draft of each shard: the map of an early exit, and what identifies the adapter and sequences behind it.

Answers never depend on a draft; but it has learnt from its shard's users, so it goes when one of them does.
"""

import hashlib
from dataclasses import asdict, dataclass

from torch import Tensor

from recbole_apa.core.seeding import digest_of
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.title_adapters import TitleAdapter

DRAFT_OPTIONS = "draft_"
"""What the names of options that decide a draft begin with."""


@dataclass(frozen=True)
class TitleDraft:
    """What one shard's users and adapter taught."""

    exit_map: Tensor
    """From the states below the adapter's layers to those above them, (d, d + 1), float32."""
    lineage: str
    """SHA-256 over what is behind it (:func:`lineage_of_draft`), in hexadecimal."""


def lineage_of_draft(shard: int, adapter: TitleAdapter, settings: NextItemSettings) -> str:
    """Digest of the teacher, in every bit, of the sequences behind it, and of the options of drafts."""
    options = {name: value for name, value in asdict(settings).items() if name.startswith(DRAFT_OPTIONS)}
    found = hashlib.sha256()
    for factor in adapter.factors:
        found.update(factor.contiguous().numpy().tobytes())
    teacher = (adapter.lineage, *adapter.layers, found.hexdigest())
    return digest_of("title draft", shard, *teacher, *(part for pair in sorted(options.items()) for part in pair)).hex()
