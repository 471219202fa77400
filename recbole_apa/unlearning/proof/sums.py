"""Check a run's collaborative statistics: counted and fitted again from its rows, without a language model."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recbole_apa.collaborative import JUDGED, Fitted, ItemCodes, ItemContent, Statistics, Targets, needed_pairs
from recbole_apa.data.run_data import RunData
from recbole_apa.runs.collaborative_files import load_collaborative
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import COLLABORATIVE_SUMS, COMBINATION
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.unlearning.proof.surveyed import Surveyed

if TYPE_CHECKING:
    from recbole_apa.data.loaders import Loaders


def collaborative_findings(store: PinnedStore, manifest: Manifest, data: "Loaders | Surveyed") -> Iterator[str]:
    """Findings where sums are not those of the run's rows, or what is fitted is not what they and the kept scores of
    the model give.

    Raises:
        RunError: a file is missing, damaged, or of other samples.
    """
    settings: Mapping[str, Any] = manifest["settings"]
    if settings.get("evidence") != "counts":
        return
    codes = ItemCodes(store.open_index().items.names)
    kept = load_collaborative(store, codes)
    parts: Iterable[RunData]
    if isinstance(data, Surveyed):
        parts, texts = data.parts(), data.run.texts
    else:
        parts, texts = [data.train_set.run_data], data.train_set.run_data.texts
    content = ItemContent.of_items(texts, codes.names, settings.get("evidence_columns"))
    if kept.content != (content.digest() if content else ""):
        yield f"{COMBINATION}: the columns of the items are not those that it was combined with"
        return
    counted, targets = _of_rows(parts, kept)
    if any(not np.array_equal(a, b) for a, b in _pairs_of(needed_pairs(targets, kept.options), kept)):
        yield f"{COLLABORATIVE_SUMS} has other pairs of items than the run's samples need"
        return
    found = kept.statistics.arrays()
    differing = [name for name, values in counted.arrays().items() if not np.array_equal(values, found[name])]
    if differing:
        yield f"{COLLABORATIVE_SUMS} is not what the run's rows sum up to: {', '.join(differing)}"
    again = Fitted.refit(counted, targets, kept.scores, kept.options, content).combination
    told = kept.combination and kept.combination.to_json()
    if (again and again.to_json()) != told:
        yield f"{COMBINATION} is not what the run's rows and the model's kept scores give"


def _of_rows(parts: Iterable[RunData], kept: Fitted) -> tuple[Statistics, dict[str, Targets]]:
    """The sums of all rows for the pairs that are kept, and the samples, in one pass."""
    codes, use_ratings = kept.statistics.codes, kept.options.use_ratings
    counted = Statistics.none(codes, kept.statistics.pairs.pairs, use_ratings)
    found: dict[str, list[Targets]] = {split: [] for split in JUDGED}
    for part in parts:
        counted = counted.plus(part)
        for split, targets in found.items():
            targets.append(Targets.of([part], split, codes, use_ratings))
    return counted, {split: Targets.joined(targets) for split, targets in found.items()}


def _pairs_of(needed: Any, kept: Fitted) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    pairs = kept.statistics.pairs.pairs
    yield needed.firsts, pairs.firsts
    yield needed.seconds, pairs.seconds
