"""How the model answers on forgotten samples, before and after: two figures for whoever made the request."""

from collections.abc import Mapping, Sequence

import numpy as np

from recbole_apa.core.seeding import digest_of
from recbole_apa.evaluation.attempt import attempt
from recbole_apa.evaluation.metrics import auc, mean_log_loss
from recbole_apa.model.apa import APA
from recbole_apa.pipeline.build import RunResult
from recbole_apa.unlearning.certified_figures import Pairs, figures_on_test, forgotten_figures
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


def table_figures(before: Mapping[str, float], after: Mapping[str, float], dropped: ForgottenProbe) -> Pairs:
    """As :func:`chosen_figures`, and the chosen aggregation on forgotten samples."""
    out = chosen_figures(before, after, dropped.model)
    told = dropped.figures
    return out | forgotten_figures(told["before"], told["after"], len(dropped)) if len(told) == 2 else out


def chosen_figures(before: Mapping[str, float], after: Mapping[str, float], model: APA) -> Pairs:
    """Title -> before and after, rounded: what is served, and the chosen aggregation, on test samples."""
    return figures_on_test(before, after, model.settings.aggregation.aggregation)
