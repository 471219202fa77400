"""Which rows of the test split a comparison scores."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recbole_apa.comparison.method import Scored
from recbole_apa.data.baseline_rows import split_targets
from recbole_apa.data.index.rows import TEST
from recbole_apa.data.run_data import RunData
from recbole_apa.data.samples import Sample, make_sample


@dataclass(frozen=True)
class TestedRows:
    """What methods without a language model score: the test samples, or every row of the test split."""

    data: RunData
    whole: bool

    @cached_property
    def targets(self) -> np.ndarray:
        """Numbers of the rows among the run's, (n,)."""
        return split_targets(self.data, TEST) if self.whole else self.data.targets["test"]

    @cached_property
    def samples(self) -> list[Sample]:
        """The rows as samples."""
        if not self.whole:
            return self.data.samples["test"]
        length = self.data.options.samples.history_length
        return [make_sample(self.data.rows, self.data.windows, row, length) for row in self.targets.tolist()]

    @cached_property
    def drawn(self) -> list[int]:
        """Where the test samples are among the rows, in order of the samples."""
        place = {row: n for n, row in enumerate(self.targets.tolist())}
        return [place[row] for row in self.data.targets["test"].tolist()]

    def scored(
        self, scores: np.ndarray, is_probability: bool, passes: int, seconds: float, unseen: int | None = None
    ) -> Scored:
        """What a method found.

        Args:
            scores: of the rows, or of the candidates if lists are ranked.
            seconds: for all of them.
            unseen: test samples of unseen users, see :class:`~recbole_apa.comparison.method.Scored`.
        """
        if not self.whole:
            return Scored(scores, is_probability, passes, seconds, unseen)
        share = len(self.drawn) / len(scores)
        return Scored(scores[self.drawn], is_probability, passes, share * seconds, unseen, all_scores=scores)
