"""A shard's draft as a file of its own, which can go at once, and back."""

from collections.abc import Iterable
from pathlib import Path

import torch

from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.tensors import Expected, check_tensors, parse_tensors
from recbole_apa.core.files.whole import sync_folder, write_bytes
from recbole_apa.next_item.run.store import DRAFTS
from recbole_apa.next_item.title_drafts import TitleDraft

_EXPECTED = {
    "exit_map": Expected(("hidden size", "hidden size and one")),
    "lineage": Expected(("digest",), ("uint8",)),
}


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
    write_bytes(path, save({"exit_map": draft.exit_map.contiguous(), "lineage": lineage}))


def read_draft(path: Path) -> TitleDraft:
    """
    Raises:
        RunError: missing, damaged, or not what :func:`write_draft` wrote.
    """
    tensors = parse_tensors(read_plain(path), path)
    check_tensors(tensors, _EXPECTED, path)
    return TitleDraft(tensors["exit_map"], bytes(tensors["lineage"].tolist()).hex())


def delete_drafts(state: Path, shards: Iterable[int]) -> None:
    """Delete shards' drafts from a state's folder; whatever reads the state goes on without them."""
    for shard in shards:
        (state / draft_name(shard)).unlink(missing_ok=True)
    if (state / DRAFTS).is_dir():
        sync_folder(state / DRAFTS)
