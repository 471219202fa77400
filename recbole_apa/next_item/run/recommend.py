"""What a user may choose next: titles with scores, and what they rest on."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from recbole_apa.core.errors import RequestError, RunError, SettingsError
from recbole_apa.core.files.whole import write_bytes
from recbole_apa.core.progress import progress
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.counts.similar import N_RECENT
from recbole_apa.next_item.run.exports import note_export
from recbole_apa.next_item.run.opened import NextItemRun, open_state
from recbole_apa.next_item.run.pending import refuse_waiting
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.state import head_term
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log

TERMS = ("language model", "similar items", "what follows")
"""The terms of the score, in the order of a :class:`~recbole_apa.next_item.counts.Fusion`."""


@dataclass(frozen=True)
class Recommendation:
    """One item for one user."""

    user: str
    rank: int
    item: str
    text: str
    score: float
    """What is served: with evidence, log odds of a choice up to a constant of the user's; else the head's estimate."""
    terms: Mapping[str, float]
    """What each term adds to the score, above its mean over the user's items; only with evidence."""
    because: str | None
    """The text of the recent item that the counts of similar items speak for most; None without evidence, or if none
    speaks for it."""


@own_log()
def recommend(
    run: str | Path | NextItemRun, user: str, k: int = 10, config_dict: Mapping[str, object] | None = None
) -> list[Recommendation]:
    """The best items for a user, as of after the user's last interaction; never one that the user has chosen.

    Args:
        run: the run's folder, or the run itself.
        k: how many.
        config_dict: where things are now, e.g. ``{"data_path": ...}``.

    Raises:
        RequestError: a user of whom the run knows nothing.
        RunError: the run cannot be opened.
        SettingsError: ``k`` is below 1.
    """
    return recommend_many(run, [user], k, config_dict)[0]


@own_log()
def recommend_many(
    run: str | Path | NextItemRun,
    users: Sequence[str],
    k: int = 10,
    config_dict: Mapping[str, object] | None = None,
) -> list[list[Recommendation]]:
    """:func:`recommend` for several users."""
    if k < 1:
        raise SettingsError(f"k: found {k}, expected at least 1")
    opened = run if isinstance(run, NextItemRun) else _opened(run, config_dict)
    unknown = [user for user in users if user not in opened.data.of_user]
    if unknown:
        raise RequestError(
            f"{len(unknown)} of {len(users)} users have no interaction that the run knows, e.g. {unknown[0]!r}; "
            "expected users of the dataset who were not forgotten"
        )
    out = []
    with progress(users, "Recommend", opened.options.show_progress and len(users) > 1) as bar, one_thread():
        for user in bar:
            out.append(_best(opened, user, k))
    return out


def export_recommendations(
    folder: str | Path, target: str | Path, k: int = 10, config_dict: Mapping[str, object] | None = None
) -> int:
    """Write a CSV file of the best items for every user: ``user_id,rank,item_id,text,score``.

    The run notes the file: certificates and audits name it once a request has made it out of date.

    Returns:
        how many users it has.

    Raises:
        RunError: as :func:`recommend`; or the file is inside the run, or cannot be written.
    """
    store, path = NextItemStore(folder), Path(target)
    if path.resolve().is_relative_to(store.folder.resolve()):
        raise RunError(f"{path} is inside the run {folder}; expected a place outside it")
    with run_lock(store.folder, "exporting"):
        opened = _opened(folder, config_dict)
        users = [sequence.user for sequence in opened.data.sequences]
        found = recommend_many(opened, users, k)
        note_export(store.folder, path, str(store.manifest()["state"]))
        write_bytes(path, _csv([one for of_user in found for one in of_user]))
    return len(users)


def _opened(folder: str | Path, changes: Mapping[str, object] | None) -> NextItemRun:
    store = NextItemStore(folder)
    refuse_waiting(store, store.manifest())
    return open_state(store, changes)


def _best(run: NextItemRun, user: str, k: int) -> list[Recommendation]:
    history = run.data.columns(run.data.of_user[user])
    state = run.reader.after(run.data.of_user[user].items)[None]
    heads = run.state.head_scores([user], state)
    fusion, counts = run.state.fusion, run.counts
    terms = None
    if fusion is not None and counts is not None:
        terms = fusion.parts(torch.cat([head_term(heads)[None], counts.terms([history])]))[:, 0]
    scores = heads[0] if terms is None else terms.sum(0)
    allowed = torch.ones(len(scores), dtype=torch.bool)
    allowed[history] = False
    ranked = torch.sort(scores.masked_fill(~allowed, float("-inf")), descending=True, stable=True).indices
    best = ranked[: min(k, int(allowed.sum()))].tolist()
    means = None if terms is None else terms[:, allowed].mean(1)
    return [
        Recommendation(
            user,
            rank,
            run.data.catalogue.items[column],
            run.data.catalogue.texts[column],
            float(scores[column]),
            _told(terms, means, column),
            _because(run, history, column),
        )
        for rank, column in enumerate(best, start=1)
    ]


def _told(terms: Tensor | None, means: Tensor | None, column: int) -> dict[str, float]:
    if terms is None or means is None:
        return {}
    return dict(zip(TERMS, (terms[:, column] - means).tolist(), strict=True))


def _because(run: NextItemRun, history: Sequence[int], column: int) -> str | None:
    if run.counts is None or not history:
        return None
    recent = list(history[-N_RECENT:])
    weights = run.counts.similar[recent, column]
    best = int(weights.argmax())
    return run.data.catalogue.texts[recent[best]] if float(weights[best]) > 0 else None


def _csv(found: Sequence[Recommendation]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["user_id", "rank", "item_id", "text", "score"])
    writer.writerows([r.user, r.rank, r.item, r.text, f"{r.score:.6f}"] for r in found)
    return text.getvalue().encode()
