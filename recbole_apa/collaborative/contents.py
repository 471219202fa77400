"""What is public about the items of a run, in one place: which of it is used, and the terms that follow from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.collaborative.content import ItemContent
from recbole_apa.collaborative.options import TermOptions
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.data.item_text import ItemTexts

CONTENT = "content"
"""The term of what columns say."""


@dataclass(frozen=True)
class Contents:
    """All that tells which items are alike without anybody's interactions; each part gives one term."""

    columns: ItemContent | None = None
    """Words and years of columns of the ``.item`` file; None leaves that term out."""

    @classmethod
    def of(cls, settings: CollaborativeSettings, texts: ItemTexts, items: Sequence[str]) -> "Contents":
        """What the options ask for.

        Args:
            items: names by code.

        Raises:
            DataError: ``evidence_columns`` names a column that the items do not have.
        """
        columns = settings.evidence_columns
        return cls(ItemContent.of_columns(texts, items, *columns) if columns else None)

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms that follow from it."""
        return (CONTENT,) if self.columns else ()

    def digest(self) -> str:
        """SHA-256 over all that closeness follows from, hexadecimal; empty if nothing is used."""
        return self.columns.digest() if self.columns else ""

    def closeness(
        self, firsts: np.ndarray, seconds: np.ndarray, options: TermOptions
    ) -> Iterator[tuple[str, np.ndarray]]:
        """By term the closeness of pairs of items, from 0 to 1, (p,).

        Args:
            firsts: item codes, (p,).
            seconds: item codes, (p,).
        """
        if self.columns:
            yield CONTENT, self.columns.closeness(firsts, seconds, options.years)


NOTHING = Contents()
"""No such term."""
