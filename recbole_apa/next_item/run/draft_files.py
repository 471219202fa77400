"""A shard's draft as a file of its own, which can go at once, and back."""

from collections.abc import Iterable
from pathlib import Path

import torch

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.tensors import Expected, check_tensors, parse_tensors
from recbole_apa.core.files.whole import sync_folder, write_bytes
from recbole_apa.next_item.generation.draft_students import EXIT_MAP
from recbole_apa.next_item.generation.item_network import ItemNetwork
from recbole_apa.next_item.run.store import DRAFTS
from recbole_apa.next_item.title_drafts import TitleDraft

_LINEAGE = "lineage"
_OF_KIND = {
    "exit": {EXIT_MAP: Expected(("hidden size", "hidden size and one"))},
    "model": {
        name: Expected(tuple(f"{name} {axis}" for axis in range(part.dim())))
        for name, part in ItemNetwork(1, 1, 1).tensors().items()
    },
}
"""By the option ``draft_kind``."""


def draft_name(shard: int) -> str:
    """``drafts/003.safetensors``."""
    return f"{DRAFTS}/{shard:03d}.safetensors"


def write_draft(path: Path, draft: TitleDraft) -> None:
    """
    Raises:
        RunError: the file cannot be written.
    """
    from safetensors.torch import save

    lineage = torch.tensor(list(bytes.fromhex(draft.lineage)), dtype=torch.uint8)
    write_bytes(path, save({**{name: part.contiguous() for name, part in draft.tensors.items()}, _LINEAGE: lineage}))


def read_draft(path: Path, kind: str) -> TitleDraft:
    """
    Args:
        kind: the run's option ``draft_kind``.

    Raises:
        RunError: missing, damaged, or not what :func:`write_draft` wrote.
    """
    tensors = parse_tensors(read_plain(path), path)
    check_tensors(tensors, {**_OF_KIND[kind], _LINEAGE: Expected(("digest",), ("uint8",))}, path)
    lineage = tensors.pop(_LINEAGE)
    if kind == "model":
        try:
            ItemNetwork.of(tensors)
        except (RuntimeError, ValueError) as error:
            raise RunError(f"{path} is damaged ({str(error)[:200]}); restore the run folder from a copy") from None
    return TitleDraft(tensors, bytes(lineage.tolist()).hex())


def delete_drafts(state: Path, shards: Iterable[int]) -> None:
    """Delete shards' drafts from a state's folder; whatever reads the state goes on without them."""
    for shard in shards:
        (state / draft_name(shard)).unlink(missing_ok=True)
    if (state / DRAFTS).is_dir():
        sync_folder(state / DRAFTS)
