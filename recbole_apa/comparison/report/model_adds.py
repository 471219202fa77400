"""What the language model adds to evidence: a row of both together beside the row of evidence alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.comparison.methods.evidence import EVIDENCE
from recbole_apa.comparison.report.criterion import ByLabel
from recbole_apa.comparison.report.judging import Judging
from recbole_apa.comparison.report.seeds import seeds_told
from recbole_apa.comparison.row import DONE, Row
from recbole_apa.evaluation.metrics import interval, log_losses, resampled_means
from recbole_apa.evaluation.report.evidence_lines import difference_told
from recbole_apa.evaluation.scored_split import BY_USERS, RESAMPLES

LOG_LOSS = "logloss"


@dataclass(frozen=True)
class ModelAdds:
    """Figures of one row with the language model minus those of the row without, on the same test samples."""

    method: str
    without: str
    seeds: Sequence[int]
    """Those that both rows have."""
    figures: Mapping[str, float]
    """``auc`` (or NDCG, if lists are ranked) and ``logloss``, means over seeds, and the ends of their paired 95 %
    intervals: ``auc_users_low`` by users, ``auc_low`` by rows."""

    @property
    def line(self) -> str:
        """For a reader."""
        told = difference_told(self.figures, "")
        of = f"{self.method} minus {self.without}, {seeds_told(set(self.seeds))}"
        return f"What the language model adds to evidence ({of}; 95 % intervals, paired): {told}."


def model_adds(rows: Sequence[Row], judging: Judging) -> list[ModelAdds]:
    """Every row with evidence and the language model, minus the row ``Evidence``; none if that is not there."""
    done = [row for row in rows if row.status == DONE]
    alone = {row.seed: row for row in done if row.method == EVIDENCE}
    names = dict.fromkeys(row.method for row in done if row.method.endswith(f"+{EVIDENCE}"))
    pairs = {
        name: [(row, alone[row.seed]) for row in done if row.method == name and row.seed in alone] for name in names
    }
    return [
        ModelAdds(name, EVIDENCE, [row.seed for row, _ in found], _figures(found, judging))
        for name, found in pairs.items()
        if found
    ]


def _figures(pairs: Sequence[tuple[Row, Row]], judging: Judging) -> dict[str, float]:
    out: dict[str, float] = {}
    for name, resample in ((judging.criterion().figure, _resampled), (LOG_LOSS, _resampled_losses)):
        gaps = [a.figures[name] - b.figures[name] for a, b in pairs if name in a.figures and name in b.figures]
        if len(gaps) < len(pairs):
            continue
        out[name] = float(np.mean(gaps))
        drawn = [resample(*pair, judging) for pair in pairs]
        by = BY_USERS if judging.by_users and "user" in judging.first else ""
        out[f"{name}{by}_low"], out[f"{name}{by}_high"] = interval(np.mean(drawn, axis=0))
    return out


def _resampled(row: Row, other: Row, judging: Judging) -> np.ndarray:
    """The difference on each resample, (m,)."""
    drawn = judging.criterion(row.seed).resampled(
        {"": np.array(row.scores), EVIDENCE: np.array(other.scores)}, RESAMPLES
    )
    return drawn[""] - drawn[EVIDENCE]


def _resampled_losses(row: Row, other: Row, judging: Judging) -> np.ndarray:
    """Likewise of LogLoss."""
    judged = judging.criterion(row.seed)
    assert isinstance(judged, ByLabel)  # ranks have no LogLoss
    gaps = log_losses(judged.labels, np.array(row.scores)) - log_losses(judged.labels, np.array(other.scores))
    return resampled_means({"": gaps}, RESAMPLES, 0, judged.users, judged.n_users)[""]
