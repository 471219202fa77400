"""The options about collaborative statistics as a frozen dataclass; see :mod:`recbole_apa.core.settings`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option import Checked, Says, Since, option


@dataclass(frozen=True)
class CollaborativeSettings(Checked):
    """What the run's other users say about a prediction, beside the language model."""

    evidence: Literal["auto", "counts", "none"] | tuple[str, ...] = field(
        default="none", metadata=option(since=Since("0.1.0", before="none"))
    )
    """``counts``: collaborative statistics of all training interactions, combined with the language model's scores;
    the two together, or one of them, are served, whichever is best on validation samples. ``none``: the language model
    alone. ``auto``: ``counts`` where the run can have them (labelled rows and an index), else ``none``. A list such as
    ``[counts, DeepFM]`` stands for ``counts`` and, as ``evidence_models``, the models after it."""
    evidence_models: tuple[str, ...] = field(
        default=(), metadata=option(since=Since("0.1.0", before=()), expected="a list of RecBole models, e.g. [DeepFM]")
    )
    """RecBole models whose scores are combined as well, with ``counts``: trained on a CPU on the rows of the training
    period, a tenth of which chooses the epoch, and again on every request to forget and every addition."""
    evidence_past: Literal["all", "shown"] = field(default="all", metadata=option(since=Since("0.1.0", before="all")))
    """What counts as a user's past: ``all`` rows before the target, or those that the prompt shows (``shown``)."""
    evidence_values: Literal["labels", "ratings"] = field(
        default="labels", metadata=option(since=Since("0.1.0", before="labels"))
    )
    """What is summed up: ``labels``, or ``ratings``, the numbers that labels are made of, in 1,024ths."""
    evidence_fit: Literal["averages", "merged"] = field(
        default="merged", metadata=option(since=Since("0.1.0", before="merged"))
    )
    """Which scores of the language model the combination is fitted and chosen on: ``averages`` of the adapters' scores
    of a validation sample, with the sample's weights, which the memory has; those of the ``merged`` adapter (of
    ``aggregation``), which are served, and cost one more pass of each validation sample in a training and in every
    request."""
    evidence_columns: tuple[str, ...] | None = field(
        default=None,
        metadata=option(since=Since("0.1.0", before=None), expected="a column of words and, after it, one of years"),
    )
    """Columns of the ``.item`` file that tell which items are alike: one of words such as genres and, optionally, one
    of years; null uses none."""
    evidence_content: Literal["columns", "states", "both", "none"] = field(
        default="columns", metadata=option(since=Since("0.1.0", before="columns"))
    )
    """What else than interactions tells which items are alike: ``columns``, those of ``evidence_columns``; ``states``,
    the frozen language model's last-layer state at the end of an item's text; ``both``, each as a term of its own;
    ``none``."""
    evidence_text: str | None = field(
        default=None, metadata=option(Says.VERBATIM, since=Since("0.1.0", before=None), expected="a text with columns")
    )
    """The text that an item's state is taken at the end of, with columns of the ``.item`` file in braces; null: the
    item's text in prompts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.evidence, str):
            raise SettingsError(f"evidence: found {list(self.evidence)}, expected it settled: use APAConfig")
        if self.evidence_columns is not None and not 1 <= len(self.evidence_columns) <= 2:
            raise SettingsError(
                f"evidence_columns: found {list(self.evidence_columns)}, expected a column of words and, after it, one "
                "of years; or null"
            )

    @classmethod
    def noted(cls, settings: Mapping[str, Any]) -> "CollaborativeSettings":
        """Those of a run, by its manifest's settings; what is missing there has its value of before it existed.

        Raises:
            SettingsError: values that are not allowed.
        """
        told: dict[str, Any] = {f.name: settings.get(f.name, f.default) for f in fields(cls)}
        for name, value in told.items():
            told[name] = tuple(value) if isinstance(value, list) else value
        return cls(**told)

    @property
    def counts(self) -> bool:
        """Whether the run keeps collaborative statistics."""
        return self.evidence == "counts"

    @property
    def fits_averages(self) -> bool:
        """Whether the combination is fitted on averages of the adapters' scores."""
        return self.counts and self.evidence_fit == "averages"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that tell which items are alike; empty if none do."""
        return self.evidence_columns or () if self.evidence_content in ("columns", "both") else ()

    @property
    def uses_states(self) -> bool:
        """Whether states of items' texts tell which items are alike."""
        return self.evidence_content in ("states", "both")

    @property
    def models(self) -> tuple[str, ...]:
        """The RecBole models whose scores are combined with them."""
        return self.evidence_models if self.counts else ()
