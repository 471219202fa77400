"""What a user may choose next: titles with scores, and what they rest on. Runs of APA are asked in the same way."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from recbole_apa.core.errors import RunError, SettingsError
from recbole_apa.core.files.whole import write_bytes
from recbole_apa.core.progress import progress
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.run.exports import noted_export
from recbole_apa.next_item.run.opened import NextItemRun, open_state
from recbole_apa.next_item.run.pending import refuse_waiting
from recbole_apa.next_item.run.store import NextItemStore, is_next_item_run
from recbole_apa.next_item.state import head_term
from recbole_apa.pipeline.build import RunResult
from recbole_apa.pipeline.recommend_labelled import recommend_all, recommend_users
from recbole_apa.pipeline.recommendation import Recommendation, csv_of, named_users, refuse_count, refuse_unknown_users
from recbole_apa.runs.lock import run_lock
from recbole_apa.runs.log import own_log

LANGUAGE_MODEL = "language model"
"""The term of the heads; those of the counts come after it."""


@own_log()
def recommend(
    run: str | Path | NextItemRun | RunResult,
    user: str | int,
    k: int = 10,
    config_dict: Mapping[str, object] | None = None,
    candidates: int | None = None,
) -> list[Recommendation]:
    """The best items for a user, as of after the user's last interaction; never one that the user has chosen or rated.

    Args:
        run: the folder of a run of APANext or APA, or the run itself.
        user: as the dataset's files name them; a whole number will do.
        k: how many.
        config_dict: where things are now, e.g. ``{"data_path": ...}``.
        candidates: a run of APA reads a prompt an item; this lets it read so many items that evidence ranks first. None
            reads all.

    Raises:
        RequestError: a user of whom the run knows nothing.
        RunError: the run cannot be opened.
        SettingsError: ``k`` or ``candidates`` is out of range, or ``candidates`` with a run that has no use for it.
    """
    return recommend_many(run, [user], k, config_dict, candidates)[0]


@own_log()
def recommend_many(
    run: str | Path | NextItemRun | RunResult,
    users: Sequence[str | int],
    k: int = 10,
    config_dict: Mapping[str, object] | None = None,
    candidates: int | None = None,
) -> list[list[Recommendation]]:
    """:func:`recommend` for several users."""
    names = named_users(users)
    if isinstance(run, RunResult) or (not isinstance(run, NextItemRun) and not is_next_item_run(run)):
        return [list(found.best) for found in recommend_users(run, names, k, config_dict, candidates)]
    refuse_count("k", k)
    _refuse_candidates(candidates)
    opened = run if isinstance(run, NextItemRun) else _opened(run, config_dict)
    refuse_unknown_users(names, opened.data.of_user.keys())
    out = []
    with progress(names, "Recommend", opened.options.show_progress and len(names) > 1) as bar, one_thread():
        for user in bar:
            out.append(_best(opened, user, k))
    return out


@own_log()
def export_recommendations(
    folder: str | Path,
    target: str | Path,
    k: int = 10,
    config_dict: Mapping[str, object] | None = None,
    candidates: int | None = None,
) -> int:
    """Write a CSV file of the best items for every user: ``user_id,rank,item_id,text,score``.

    A run of APANext notes the file: certificates and audits name it once a request has made it out of date. A run of
    APA does not, as with predictions.

    Args:
        candidates: as for :func:`recommend`.

    Returns:
        how many users it has.

    Raises:
        RunError: as :func:`recommend`; or the file is inside the run, or a folder, or cannot be written.
    """
    path = Path(target)
    _refuse_place(path, folder)
    if not is_next_item_run(folder):
        lists = recommend_all(folder, k, config_dict, candidates)
        write_bytes(path, csv_of(one for found in lists for one in found.best))
        return len(lists)
    _refuse_candidates(candidates)
    store = NextItemStore(folder)
    with run_lock(store.folder, "exporting"):
        opened = _opened(folder, config_dict)
        users = [sequence.user for sequence in opened.data.sequences]
        found = recommend_many(opened, users, k)
        with noted_export(store.folder, path, str(store.manifest()["state"])):
            write_bytes(path, csv_of(one for of_user in found for one in of_user))
    return len(users)


def _refuse_place(path: Path, folder: str | Path) -> None:
    """
    Raises:
        RunError: a file is not to be written there.
    """
    if path.resolve().is_relative_to(Path(folder).resolve()):
        raise RunError(f"{path} is inside the run {folder}; expected a place outside it")
    if path.is_dir():
        raise RunError(f"{path} is a folder; expected a file, e.g. {path / 'recommendations.csv'}")


def _refuse_candidates(candidates: int | None) -> None:
    if candidates is not None:
        raise SettingsError(
            "candidates: a run of APANext ranks every item from one prompt; expected it with a run of APA"
        )


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
            _told(run, terms, means, column),
            _because(run, history, column),
        )
        for rank, column in enumerate(best, start=1)
    ]


def _told(run: NextItemRun, terms: Tensor | None, means: Tensor | None, column: int) -> dict[str, float]:
    if terms is None or means is None or run.counts is None:
        return {}
    return dict(zip((LANGUAGE_MODEL, *run.counts.names), (terms[:, column] - means).tolist(), strict=True))


def _because(run: NextItemRun, history: Sequence[int], column: int) -> str | None:
    best = None if run.counts is None else run.counts.strongest(history, column)
    return None if best is None else run.data.catalogue.texts[best]
