"""How the model answers on forgotten samples, before and after: two figures for whoever made the request."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from recbole_apa.core.seeding import digest_of
from recbole_apa.evaluation.attempt import attempt
from recbole_apa.evaluation.metrics import auc, mean_log_loss
from recbole_apa.model.apa import APA
from recbole_apa.pipeline.build import RunResult
from recbole_apa.unlearning.plan import DROPPED, Affected

MOST_JUDGED = 256
FEWEST_REPORTED = 5
"""A figure over fewer samples would reveal a person's individual answers."""


class ForgottenProbe:
    """Keeps the prompts of dropped training samples while a request is carried out, never on disk.

    Args:
        opened: the run with its data from before the request.
    """

    def __init__(self, opened: RunResult) -> None:
        self.model = opened.model
        part = opened.data.train_set
        self._place = {s.sample_id: i for i, s in enumerate(part.samples)}
        self._labels = np.array([s.label for s in part.samples])
        self._prompts = self.model.prompts_of(part)
        self._rows: list[int] = []
        self.figures: dict[str, dict[str, float]] = {}

    def judge(self, when: str, affected: Sequence[Affected] | None = None) -> None:
        """Score the dropped training samples with the current model.

        Args:
            affected: given on the first call; later calls judge the same samples.
        """
        if affected is not None:
            names = [a.sample_id for a in affected if a.change == DROPPED and a.split == "train"]
            names = sorted(names, key=lambda name: digest_of(name))[:MOST_JUDGED]
            self._rows = [self._place[name] for name in names]
        if len(self._rows) < FEWEST_REPORTED:
            return
        prompts = [self._prompts[i] for i in self._rows]
        scores = self.model.aggregate(prompts, self.model.weights(prompts)).numpy()
        labels = self._labels[self._rows]
        self.figures[when] = attempt("figures of forgotten samples", lambda: _figures(labels, scores), {})

    def __len__(self) -> int:
        return len(self._rows)


def _figures(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    value = auc(labels, scores)
    return {"logloss": mean_log_loss(labels, scores), **({} if value is None else {"auc": value})}


def table_figures(
    before: Mapping[str, float], after: Mapping[str, float], dropped: ForgottenProbe
) -> dict[str, dict[str, float | None]]:
    """Title -> before and after, rounded: the chosen aggregation on test and on forgotten samples."""
    out = chosen_figures(before, after, dropped.model)
    if "before" in dropped.figures and "after" in dropped.figures:
        for name, title in (("auc", "AUC"), ("logloss", "LogLoss")):
            out[f"{title} on {len(dropped)} forgotten training samples"] = _pair(
                dropped.figures["before"], dropped.figures["after"], name
            )
    return out


def chosen_figures(
    before: Mapping[str, float], after: Mapping[str, float], model: APA
) -> dict[str, dict[str, float | None]]:
    """Title -> before and after, rounded: the chosen aggregation on test samples."""
    chosen = model.settings.aggregation.aggregation
    return {
        f"test {title}": _pair(before, after, f"test.aggregated.{chosen}.{name}")
        for name, title in (("auc", "AUC"), ("logloss", "LogLoss"))
    }


def _pair(first: Mapping[str, float], second: Mapping[str, float], name: str) -> dict[str, float | None]:
    values = (first.get(name), second.get(name))
    rounded = (None if v is None or not math.isfinite(v) else round(v, 4) for v in values)
    return dict(zip(("before", "after"), rounded, strict=True))
