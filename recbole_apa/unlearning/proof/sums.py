"""Check a run's collaborative statistics: counted and fitted again from its rows, without a language model."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from recbole_apa.collaborative import Contents, CountedRows, Fitted, needed_items, needed_pairs
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.evidence import KeyRing, secret_of
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import COLLABORATIVE_SUMS, COMBINATION, COUNTED, ITEM_STATES, KEY
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.unlearning.proof.recount import Recount
from recbole_apa.unlearning.proof.surveyed import Surveyed

if TYPE_CHECKING:
    from recbole_apa.data.loaders import Loaders

_ROUNDED = 1e-6
"""Numbers of a regression that differ by less, or by a smaller share, are the same on another version of numpy."""


def collaborative_findings(
    store: PinnedStore, manifest: Manifest, data: "Loaders | Surveyed", keys: KeyRing
) -> Iterator[str]:
    """Findings where sums, or the digest of the rows that they are counted from, are not those of the run's rows, or
    what is fitted is not what sums and the kept scores of the model give.

    Raises:
        RunError: a file is missing, damaged, or of other samples.
    """
    recount = _counted(store, manifest, data, keys)
    yield from _row_findings(manifest, recount)
    kept, targets = recount.kept, recount.targets()
    texts = data.run.texts if isinstance(data, Surveyed) else data.train_set.run_data.texts
    settings = CollaborativeSettings.noted(manifest["settings"])
    if settings.uses_states != (kept.states is not None):
        yield f"{COMBINATION}: terms rest on states of items' texts or not, other than the run's settings say"
        return
    contents = Contents.of(settings, texts, kept.statistics.codes.names, kept.states)
    if kept.content != contents.digest():
        yield f"{COMBINATION}: the columns of the items are not those that it was combined with"
        return
    if kept.states and not np.array_equal(kept.states.items, needed_items(targets, kept.options)):
        yield f"{ITEM_STATES} has states of other items than the run's samples need"
        return
    needed, pairs = needed_pairs(targets, kept.options), kept.statistics.pairs.pairs
    if not (np.array_equal(needed.firsts, pairs.firsts) and np.array_equal(needed.seconds, pairs.seconds)):
        yield f"{COLLABORATIVE_SUMS} has other pairs of items than the run's samples need"
        return
    differing = recount.differing_sums()
    if differing:
        yield f"{COLLABORATIVE_SUMS} is not what the run's rows sum up to: {', '.join(differing)}"
    again = Fitted.refit(recount.sums, targets, kept.scores, kept.options, contents).combination
    told = kept.combination and kept.combination.to_json()
    if not _agree(again and again.to_json(), told):
        yield f"{COMBINATION} is not what the run's rows and the model's kept scores give"


def _agree(one: object, other: object) -> bool:
    """Whether two combinations are the same but for what numpy's versions round differently: the regression ends where
    its gradient is small."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_ROUNDED, abs_tol=_ROUNDED)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_agree(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_agree, one, other))
    return one == other


def _counted(store: PinnedStore, manifest: Manifest, data: "Loaders | Surveyed", keys: KeyRing) -> Recount:
    if isinstance(data, Surveyed) and data.recount:
        return data.recount
    name = manifest.get(KEY)
    secret = secret_of(manifest["salt"], keys.key(name) if name else None)
    recount = Recount.of(store, store.open_index().items.names, secret)
    assert not isinstance(data, Surveyed)  # what stopped it there has stopped it here
    recount.add(data.train_set.run_data)
    return recount


def _row_findings(manifest: Manifest, recount: Recount) -> Iterator[str]:
    """Findings where the manifest says that statistics are counted from other rows than there are."""
    told, found = manifest.get(COUNTED), recount.rows.found
    if told is None:
        return  # said in a notice
    said = CountedRows.from_json(told, found.digest.secret)
    if (said.n_rows, said.n_users) != (found.n_rows, found.n_users):
        yield (
            f"lineage of {COLLABORATIVE_SUMS}: the manifest says {said.n_rows} rows of {said.n_users} users, the data "
            f"has {found.n_rows} of {found.n_users}"
        )
    elif said.digest.hex() != found.digest.hex():
        yield f"lineage of {COLLABORATIVE_SUMS}: it was counted from other rows than the data gives now"
