"""Collaborative statistics in a verification: what is made again is written as the run itself writes it."""

from recbole_apa.collaborative import ItemCodes
from recbole_apa.pipeline.build import RunResult
from recbole_apa.pipeline.evaluate import score_with_model
from recbole_apa.runs.collaborative_files import load_collaborative_scores, save_collaborative_scores
from recbole_apa.runs.names import COLLABORATIVE_SCORES
from recbole_apa.runs.store import RunStore


def items_of(store: RunStore) -> ItemCodes | None:
    """The numbers of items in a run's statistics; None without an index."""
    return ItemCodes(store.open_index().items.names) if store.has_index() else None


def keep_test_scores(store: RunStore, again: RunResult, fresh: RunStore) -> None:
    """Score the test samples with the model that was trained again, if the run keeps such scores.

    Args:
        store: the run.
        fresh: where the model that was trained again is kept.
    """
    combined, part = again.trainer.combined, again.data.test_set
    if combined is None or not store.has(COLLABORATIVE_SCORES):
        return
    if "test" in load_collaborative_scores(store):
        combined = combined.with_test_scores(part, score_with_model(again, part))
        save_collaborative_scores(fresh, combined.fitted.scores)
