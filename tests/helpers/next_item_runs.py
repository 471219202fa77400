"""What the tests of runs of APANext share."""

import shutil
from pathlib import Path

import pytest

from recbole_apa.core.files.whole import file_digest
from recbole_apa.core.places import Slices
from recbole_apa.next_item.run import title_rows
from recbole_apa.next_item.run.opened import NextItemRun
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.run.train import run_next_items
from recbole_apa.next_item.title_training import TitleTrainer
from tests.helpers.inside import inside

TITLES = {"adapters": "titles", "adapter_layers": 1, "adapter_rank": 2, "adapter_batch": 1, "title_users": 2}
"""Options of a run with adapters."""
L, SEED = 3, 1
SLICED = {"adapters": "titles", "adapter_layers": 1, "adapter_rank": 2, "adapter_batch": 2, "title_users": 0}
SLICED |= {"n_shards": 2, "shard_slices": L}
"""Options of a run in slices, trained with ``seed: 1``."""


def train(next_options: dict[str, object], place: Path, **more: object) -> NextItemRun:
    """A run of the small dataset of ``tests/next_item``.

    Args:
        next_options: the fixture of this name.
        place: the run's folder.
        more: other options.
    """
    with inside(place.parent):
        return run_next_items("chains", config_dict={**next_options, **more}, run_dir=place)


def state_of(folder: Path) -> dict[str, str]:
    """Every file of the state in force with its digest, apart from certificates, which have times."""
    files = NextItemStore(folder).manifest()["files"]
    return {name: digest for name, digest in files.items() if not name.startswith("certificate")}


def kinds(folder: Path) -> list[str]:
    """The kinds of the ledger's lines."""
    store = NextItemStore(folder)
    return [entry.kind for entry in store.ledger(store.manifest()).entries()]


def assert_holds(folder: Path) -> None:
    """Audit and verification find nothing."""
    assert audit_next_items(folder).findings == [] and verify_next_items(folder).differences == []


def forbid_training(patch: pytest.MonkeyPatch) -> None:
    """Let it fail to train an adapter, or to rank by titles."""
    patch.setattr(TitleTrainer, "__call__", None)
    patch.setattr(title_rows, "rank_all", None)


def kill(patch: pytest.MonkeyPatch, where: object, name: str, after: int = 0) -> None:
    """Let a function be interrupted, once it was called so often."""
    real, n_calls = getattr(where, name), 0

    def killed(*arguments, **more):
        nonlocal n_calls
        n_calls += 1
        if n_calls > after:
            raise KeyboardInterrupt
        return real(*arguments, **more)

    patch.setattr(where, name, killed)


def members(made) -> dict[int, list[list[str]]]:
    """Shard -> the users of each slice."""
    found = {k: [[] for _ in range(L)] for k in range(2)}
    for user, shard in sorted(made.state.learnt.shard_of.items()):
        found[shard][Slices(L, SEED).of(user)].append(user)
    return found


def spot(made, cut: int, not_in: int | None = None) -> tuple[int, str]:
    """A shard whose slices up to ``cut`` have users, and a user of that slice."""
    for shard, slices in members(made).items():
        if shard != not_in and all(slices[: cut + 1]):
            return shard, slices[cut][0]
    raise AssertionError(f"no shard has users in the first {cut + 1} slices: {members(made)}")


def points_of(folder: Path, shard: int) -> dict[int, str]:
    """Slice -> the digest of the file of the point before it."""
    start = f"points/{shard:03d}/"
    found = {name: digest for name, digest in state_of(folder).items() if name.startswith(start)}
    return {int(name.removeprefix(start).removesuffix(".safetensors")): digest for name, digest in found.items()}


def put_in(folder: Path, name: str, source: Path) -> None:
    """Put a file into the state, as if the run had written it."""
    store = NextItemStore(folder)
    manifest = store.manifest()
    path = store.state_folder(manifest) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, path)
    manifest["files"][name] = file_digest(path)
    store.put_in_force(manifest)
