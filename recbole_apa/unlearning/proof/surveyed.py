"""The data of an audit from the run's index alone, part by part, without RecBole's dataset."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recbole_apa.core.errors import RunError
from recbole_apa.data.dataset_digest import DatasetDigest, items_digest
from recbole_apa.data.index.rows import ALLOWED, KEPT
from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.survey import survey_of
from recbole_apa.evidence import KeyRing, secret_of
from recbole_apa.evidence.exactness import THIS_DATA
from recbole_apa.pipeline.indexed_run import IndexedRun, open_indexed
from recbole_apa.runs.collaborative_files import keeps_statistics
from recbole_apa.runs.names import KEY
from recbole_apa.runs.pinned_run import PinnedStore
from recbole_apa.runs.plain_ids import has_plain_ids
from recbole_apa.unlearning.proof.recount import Recount


@dataclass(frozen=True)
class SurveyedPart:
    """What an audit asks of the training part of a dataset."""

    splits: Mapping[str, list[Sample]]
    pieces: Mapping[str, int]
    known_digest: DatasetDigest

    @property
    def samples(self) -> list[Sample]:
        """The training samples."""
        return self.splits[SPLITS[0]]

    def digest(self, secret: bytes) -> DatasetDigest:
        """The digest of everything visible, under the run's own secret."""
        assert secret == self.known_digest.secret
        return self.known_digest


@dataclass(frozen=True)
class Surveyed:
    """What an audit asks of RecBole's loaders."""

    train_set: SurveyedPart
    run: IndexedRun
    recount: Recount | None
    """None if the run keeps no collaborative statistics, or damaged ones."""


def surveyed(store: PinnedStore, stem: Path, keys: KeyRing) -> Surveyed | None:
    """The data of a run by its index; None if that is not enough: its files have changed, split and draw have to be
    made anew, a filter compares or counts rows, there are exports to compare, or the index gives another digest than
    the manifest has (what differs is found with RecBole's dataset).

    Args:
        stem: the path of the data files without their endings.

    Raises:
        RunError: the index is damaged.
    """
    manifest = store.manifest()
    if has_plain_ids(manifest) or manifest.get("draw_of") == THIS_DATA or manifest.get("outside", {}).get("exports"):
        return None
    run = open_indexed(store, stem, keys)
    if run is None or not run.is_local or run.options.filters.keep_duplicate is not None or _has_odd_flags(run):
        return None
    name = manifest.get(KEY)
    secret = secret_of(manifest["salt"], keys.key(name) if name else None)
    recount = _recount(run, secret)
    visitors = [recount.add] if recount else []
    survey = survey_of(run.index, run.options, run.sides, run.noted, secret, visitors)
    assert survey.users_digest is not None
    digest = survey.users_digest.plus(items_digest(survey.items_seen(), run.texts.text_of, secret))
    if digest.hex() != manifest["dataset"]:
        return None
    part = SurveyedPart({name: survey.samples(name) for name in SPLITS}, survey.pieces, digest)
    return Surveyed(part, run, recount)


def _recount(run: IndexedRun, secret: bytes) -> Recount | None:
    try:
        return Recount.of(run.store, run.index.items.names, secret) if keeps_statistics(run.manifest) else None
    except RunError:
        return None  # said where statistics are compared


def _has_odd_flags(run: IndexedRun) -> bool:
    """Whether a row is noted as left by the filters and its own values do not pass them, or the other way round."""
    if run.options.files.presplit is not None:
        return any(not (rows.flags & KEPT).all() for rows in run.index.parts())
    return any(not np.array_equal((rows.flags & KEPT) != 0, (rows.flags & ALLOWED) != 0) for rows in run.index.parts())
