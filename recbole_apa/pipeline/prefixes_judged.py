"""Judge a run by the number of slices that it serves: what quality is left between a request at once and catching up.

For each number of slices below the run's, the validation samples are scored with the shards' adapters from before the
next slice, and the test samples with their mixture. Nothing is trained, and nothing is written.
"""

import time
from dataclasses import replace
from logging import getLogger

import numpy as np

from recbole_apa.core.places import Place
from recbole_apa.evaluation.prefix_figures import MODEL, N_TRAINED, PREFIXES, SERVED, prefix_figures
from recbole_apa.evaluation.scored_split import ScoredSplit
from recbole_apa.evaluation.variants import chosen_aggregation, chosen_scores, score_split
from recbole_apa.model.combined_scores import CombinedScores
from recbole_apa.model.prefix_states import PrefixStates
from recbole_apa.pipeline.build import RunResult
from recbole_apa.runs.names import shard_name

OPTION = "prefix_figures"
"""The option that asks for these figures."""
_SECONDS = f"{PREFIXES}_seconds"


def figures_by_slices(result: RunResult, scored: ScoredSplit, show: bool) -> dict[str, float]:
    """Figures of the test samples by slices served, under flat keys (:func:`prefix_figures`); the last number is all
    that the run serves. Empty, with a warning, for a run without slices.

    An adapter that an approximate method moved has no prefixes: then there are no figures, either.

    Args:
        result: a trained run, whose store has its restart points.
        scored: its test samples, as it serves them.
    """
    trainer, data = result.trainer, result.data
    n_slices = result.model.settings.training.shard_slices
    if n_slices == 1 or trainer.store is None:
        getLogger().warning(
            f"{OPTION}: no figures by slices, as the run's shards are not cut into any (shard_slices: 1)"
        )
        return {}
    if moved := {*trainer.record.moved, *trainer.store.moved_shards(len(trainer.record.sizes))}:
        names = ", ".join(map(shard_name, sorted(moved)))
        getLogger().warning(f"{OPTION}: no figures by slices, as an approximate method moved {names}")
        return {}
    start, model, name = time.perf_counter(), result.model, chosen_scores(result.model)
    how = result.config["seed"], result.config["intervals"] == "users"
    alone = scored.scores[name]
    whole = _served(trainer.combined, result, alone)
    out: dict[str, float] = {}
    places = trainer.store.places(trainer.store.load_pieces(), result.keys)
    with PrefixStates(trainer, data.train_set, data.valid_set, places) as states:
        for n in range(1, n_slices):
            out[_n_trained(n)] = states.serve(Place(0, n))
            title = f"Score test samples, {n} of {n_slices} slices"
            found = score_split(model, data.test_set, title, show, wanted=chosen_aggregation(model)).scores[name]
            judged = replace(scored, scores={SERVED: _served(states.combined(), result, found), MODEL: found})
            out |= prefix_figures(n, judged, whole, *how)
        out[_n_trained(n_slices)] = states.n_trained
    out |= prefix_figures(n_slices, replace(scored, scores={SERVED: whole, MODEL: alone}), None, *how)
    return out | {_SECONDS: round(time.perf_counter() - start, 1)}


def _n_trained(n_slices: int) -> str:
    return f"{PREFIXES}.{n_slices:02d}.{N_TRAINED}"


def _served(combined: CombinedScores | None, result: RunResult, scores: np.ndarray) -> np.ndarray:
    """The scores of the test samples that are served, given the model's, (n,)."""
    return combined.served_of(result.data.test_set, scores) if combined else scores
