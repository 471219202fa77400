"""What the tests of runs of APANext that are left at once share."""

from pathlib import Path

import pytest

from recbole_apa.next_item.run import title_rows
from recbole_apa.next_item.run.proof import audit_next_items, verify_next_items
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.title_training import TitleTrainer


def state_of(folder: Path) -> dict[str, str]:
    """Every file of the state in force with its digest, apart from the certificate, which has times."""
    files = dict(NextItemStore(folder).manifest()["files"])
    files.pop("certificate.json", None)
    return files


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
