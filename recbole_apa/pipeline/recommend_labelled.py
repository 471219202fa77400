"""What a user may like, by a finished run of APA: all items of the catalogue that the user has not rated, ranked.

The language model reads one prompt an item, which takes milliseconds to tenths of a second each. Evidence alone is
quick and may preselect. Shapes: n unseen items, f terms.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from logging import getLogger
from pathlib import Path

import numpy as np
import torch

from recbole_apa.collaborative import ALONE, MODEL, Combination
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.progress import progress
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.prompts import PromptInput
from recbole_apa.model.combined_scores import AskedPair, CombinedScores
from recbole_apa.model.serving import refuse_nothing, say_prefixes
from recbole_apa.pipeline.build import RunResult, open_run
from recbole_apa.pipeline.predictions import model_terms
from recbole_apa.pipeline.recommendation import Recommendation, refuse_count, refuse_unknown_users
from recbole_apa.runs.remote.working_copy import open_place
from recbole_apa.runs.store import RunStore

AT_ONCE = 256
"""Items between two steps of the progress bar; their prompts share the computation of the user's part."""
LANGUAGE_MODEL = "language model"


@dataclass(frozen=True)
class UserList:
    """The best items for a user, and what finding them took."""

    user: str
    best: tuple[Recommendation, ...]
    n_unseen: int
    """Items that the user has not rated."""
    n_read: int
    """Of how many the language model read a prompt; 0 where what is served does not rest on it."""
    seconds: float
    """That the language model took."""

    def cost(self) -> str:
        """In words."""
        if not self.n_read:
            return f"user {self.user}: {self.n_unseen} unseen items, all ranked by evidence, which alone is served"
        whole = "all" if self.n_read == self.n_unseen else f"the best {self.n_read} by evidence"
        each = self.seconds / self.n_read
        return (
            f"user {self.user}: {self.n_unseen} unseen items, {whole} read by the language model in "
            f"{self.seconds:.1f} s ({each:.3f} s an item)"
        )


def recommend_users(
    run: str | Path | RunResult,
    users: Sequence[str],
    k: int = 10,
    config_dict: Mapping[str, object] | None = None,
    candidates: int | None = None,
) -> list[UserList]:
    """The best items for each of some users, as of after the user's last interaction; never one that the user has.

    Args:
        run: a run's folder or URL, or an opened run.
        config_dict: where things are now; only with a folder.
        candidates: let the language model read so many items that evidence ranks first; None: all.

    Raises:
        RequestError: a user of whom the run knows nothing.
        RunError: as :func:`~recbole_apa.pipeline.predictions.predict_pairs`.
        SettingsError: ``k`` or ``candidates`` is no whole number of at least 1, or ``candidates`` without evidence, or
            fewer than ``k``.
    """
    _refuse(k, candidates)
    if isinstance(run, RunResult):
        return _recommend(run, users, k, candidates)
    with open_place(run, "recommending", writes=False) as place:
        opened = open_run(RunStore(place), config_dict)
        say_prefixes(opened.trainer)
        return _recommend(opened, users, k, candidates)


def recommend_all(
    run: str | Path, k: int = 10, config_dict: Mapping[str, object] | None = None, candidates: int | None = None
) -> list[UserList]:
    """:func:`recommend_users` for everybody, by name."""
    _refuse(k, candidates)
    with open_place(run, "recommending", writes=False) as place:
        opened = open_run(RunStore(place), config_dict)
        say_prefixes(opened.trainer)
        return _recommend(opened, users_of(opened), k, candidates)


def _refuse(k: int, candidates: int | None) -> None:
    refuse_count("k", k)
    if candidates is not None:
        refuse_count("candidates", candidates)
    if candidates is not None and candidates < k:
        raise SettingsError(f"candidates: found {candidates}, expected at least k = {k}, which are to be found in them")


def users_of(run: RunResult) -> list[str]:
    """Everybody of whom the run may see an interaction, by name."""
    users = run.data.train_set.interactions.users
    return sorted({users.names[code] for code in np.unique(users.codes).tolist()})


def _recommend(run: RunResult, users: Sequence[str], k: int, candidates: int | None) -> list[UserList]:
    refuse_nothing(run.trainer)
    refuse_unknown_users(users, set(users_of(run)))
    combined = run.trainer.combined
    if candidates is not None and (combined is None or combined.fitted.combination is None):
        raise SettingsError("candidates: this run has no evidence to choose them by; leave it out to rank every item")
    return [_Asked(run, user).ranked(k, candidates) for user in users]


class _Asked:
    """One user's unseen items."""

    def __init__(self, run: RunResult, user: str) -> None:
        self.run, self.user = run, user
        self.dataset: APADataset = run.data.train_set
        rows, windows = self.dataset.interactions, self.dataset.windows
        of_user = np.flatnonzero(rows.users.where(user))
        self.past = of_user[np.argsort(windows.place[of_user])]
        self.number_of = self.dataset.field2token_id[self.dataset.iid_field]
        had = set(rows.items.texts(self.past))
        names = (str(name) for name in self.dataset.field2id_token[self.dataset.iid_field][1:])
        self.items = sorted(name for name in names if name not in had)

    def ranked(self, k: int, candidates: int | None) -> UserList:
        """The best ``k``."""
        combined = self.run.trainer.combined
        fitted = None if combined is None else combined.fitted.combination
        if combined is None or fitted is None or (combined.served == MODEL and candidates is None):
            chosen = np.arange(len(self.items))
            scores, seconds = self._read(chosen)
            return self._told(chosen, scores, {}, k, seconds)
        table = combined.table_of_pairs(self._pairs(range(len(self.items))), self._terms(combined))
        chosen = self._preselected(fitted, table, candidates)
        n_read, seconds, model = 0, 0.0, np.full(len(chosen), 0.5)
        if combined.served != ALONE:
            model, seconds = self._read(chosen)
            n_read = len(chosen)
        scores = fitted.scores(table[chosen], model)[combined.served]
        return self._told(chosen, scores, fitted.parts(table[chosen], model), k, seconds if n_read else None)

    def _preselected(self, fitted: Combination, table: np.ndarray, candidates: int | None) -> np.ndarray:
        """Places among the items, (n,) or fewer, in order."""
        if candidates is None or fitted.served == ALONE:
            if fitted.served != ALONE:
                getLogger().info(
                    f"the language model reads {len(self.items)} items for user {self.user}; --candidates=N (in Python "
                    "candidates=N) lets it read N that evidence ranks first"
                )
            return np.arange(len(self.items))
        return np.sort(np.argsort(-fitted.alone.log_odds(table), kind="stable")[:candidates])

    def _terms(self, combined: CombinedScores) -> np.ndarray | None:
        terms = model_terms(self.run, [(self.user, item) for item in self.items])
        if terms is None and combined.fitted.models:  # the language model alone is served: nothing rests on them
            terms = np.zeros((len(self.items), len(combined.fitted.models)))
        return terms

    def _pairs(self, places: Sequence[int]) -> list[AskedPair]:
        return [AskedPair(self.user, self.items[place], self.past, False) for place in places]

    def _read(self, places: np.ndarray) -> tuple[np.ndarray, float]:
        """The language model's scores, and the seconds that they took."""
        start, model = time.perf_counter(), self.run.model
        rows, texts = self.dataset.interactions, self.dataset.item_texts
        shown = self.past[-self.dataset.settings.history_length :]
        names, labels = rows.items.texts(shown), rows.labels[shown].tolist()
        history = tuple((texts[self.number_of[name]], label) for name, label in zip(names, labels, strict=True))
        found = []
        steps = range(0, len(places), AT_ONCE)
        for first in progress(steps, f"Read for {self.user}", bool(self.run.config["show_progress"])):
            items = [texts[self.number_of[self.items[place]]] for place in places[first : first + AT_ONCE]]
            prompts = model.engine.encode([PromptInput(history, text) for text in items])
            if model.settings.backbone.shared_prefixes:
                found.append(model.score_lists(prompts))
            else:
                found.append(model.aggregate(prompts, model.weights(prompts)))
        scores = torch.cat(found).cpu().numpy() if found else np.zeros(0)
        return scores, time.perf_counter() - start

    def _told(
        self, chosen: np.ndarray, scores: np.ndarray, parts: Mapping[str, np.ndarray], k: int, seconds: float | None
    ) -> UserList:
        order = np.argsort(-scores, kind="stable")[:k]
        above = {LANGUAGE_MODEL if n == MODEL else n: part - part.mean() for n, part in parts.items() if len(part)}
        reasons = self._reasons(chosen[order]) if above else [None] * len(order)
        best = tuple(
            Recommendation(
                self.user,
                rank,
                self.items[chosen[place]],
                self._text(self.items[chosen[place]]),
                float(scores[place]),
                {name: float(part[place]) for name, part in above.items()},
                because,
            )
            for rank, (place, because) in enumerate(zip(order.tolist(), reasons, strict=True), start=1)
        )
        n_read = 0 if seconds is None else len(chosen)
        return UserList(self.user, best, len(self.items), n_read, seconds or 0.0)

    def _reasons(self, places: np.ndarray) -> list[str | None]:
        combined = self.run.trainer.combined
        assert combined is not None
        items = self.dataset.interactions.items
        rows = combined.strongest_of_pairs(self._pairs(places.tolist()))
        return [None if row is None else self._text(items[row]) for row in rows]

    def _text(self, item: str) -> str:
        text: str = self.dataset.item_texts[self.number_of[item]]
        return text
