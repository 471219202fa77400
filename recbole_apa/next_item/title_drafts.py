"""A draft of each shard, and what identifies the adapter and sequences behind it.

Answers never depend on a draft; but it has learnt from its shard's users, so it goes when one of them does.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from torch import Tensor

from recbole_apa.core.seeding import digest_of
from recbole_apa.next_item.generation.draft_students import EXIT_MAP
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.title_adapters import TitleAdapter

DRAFT_OPTIONS = "draft_"
"""What the names of options that decide a draft begin with."""
MODEL_OPTIONS = "draft_model_"
"""Those that decide a model alone."""
BEFORE: Mapping[str, object] = {"draft_kind": "exit", "draft_student": 0.0, "draft_true": 0.0}
"""What drafts were before there were these options: it is left out of the digest, so that older drafts keep theirs."""


@dataclass(frozen=True)
class TitleDraft:
    """What one shard's users and adapter taught."""

    tensors: Mapping[str, Tensor]
    """By name, float32: of an exit the map alone, of a model the parameters of a network over items."""
    lineage: str
    """SHA-256 over what is behind it (:func:`lineage_of_draft`), in hexadecimal."""

    @property
    def exit_map(self) -> Tensor | None:
        """From the states below the adapter's layers to those above them, (d, d + 1); None of a model."""
        return self.tensors.get(EXIT_MAP)


def lineage_of_draft(shard: int, adapter: TitleAdapter, settings: NextItemSettings) -> str:
    """Digest of the teacher, in every bit, of the sequences behind it, and of the options of drafts."""
    options = {name: value for name, value in asdict(settings).items() if _decides(name, value, settings)}
    found = hashlib.sha256()
    for factor in adapter.factors:
        found.update(factor.contiguous().numpy().tobytes())
    teacher = (adapter.lineage, *adapter.layers, found.hexdigest())
    return digest_of("title draft", shard, *teacher, *(part for pair in sorted(options.items()) for part in pair)).hex()


def _decides(name: str, value: object, settings: NextItemSettings) -> bool:
    if name.startswith(MODEL_OPTIONS):
        return settings.draft_kind == "model"
    return name.startswith(DRAFT_OPTIONS) and not (name in BEFORE and value == BEFORE[name])
