"""The survey of a run's rows, kept in this process from one request to the next: a stream of requests looks through all
rows once."""

from collections.abc import Sequence
from dataclasses import dataclass

from recbole_apa.data.survey import Survey, Visitor, survey_of
from recbole_apa.pipeline.indexed_run import IndexedRun
from recbole_apa.runs.store import RunStore


@dataclass(frozen=True)
class _Kept:
    place: str = ""
    manifest: str = ""
    """SHA-256 of the run's manifest, whose digests of the index's files tell whether the survey is of its rows."""
    survey: Survey | None = None


_KEPT = [_Kept()]


def survey_before(run: IndexedRun, secret: bytes | None, visitors: Sequence[Visitor] = ()) -> Survey:
    """The survey of a run's rows. It is the caller's to change: it is no longer kept here.

    Args:
        secret: for the digest of all users; None leaves it out.
        visitors: are shown every row, if ``secret`` is given.
    """
    kept, _KEPT[0] = _KEPT[0], _Kept()
    known = (kept.place, kept.manifest) == (run.store.place, run.store.manifest_digest())
    if kept.survey is not None and known and secret is None:
        return kept.survey
    return survey_of(run.index, run.options, run.sides, run.noted, secret, visitors)


def keep_survey(store: RunStore, survey: Survey) -> None:
    """Keep the survey of a state that was put in place."""
    survey.forget_digest()
    _KEPT[0] = _Kept(store.place, store.manifest_digest(), survey)
