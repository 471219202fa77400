"""What is public about the items of a run, in one place: which of it is used, and the terms that follow from it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recbole_apa.collaborative.content import ItemContent
from recbole_apa.collaborative.item_states import EmbedTexts, ItemStates
from recbole_apa.collaborative.options import STATE_WIDTH, TermOptions
from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.item_text import ItemTexts

CONTENT, STATES = "content", "content_states"
"""The terms of what columns say, and of a language model's states of texts."""


@dataclass(frozen=True)
class Contents:
    """All that tells which items are alike without anybody's interactions; each part gives one term."""

    columns: ItemContent | None = None
    """Words and years of columns of the ``.item`` file; None leaves that term out."""
    states: ItemStates | None = None
    """States of the items' texts; None leaves that term out."""
    texts: tuple[str, ...] = ()
    """The texts of the items of ``states``."""

    @classmethod
    def of(
        cls,
        settings: CollaborativeSettings,
        texts: ItemTexts,
        names: Sequence[str],
        states: ItemStates | None = None,
    ) -> "Contents":
        """What the options ask for.

        Args:
            names: items by code; ``""`` for a code without an item.
            states: of the items that terms are computed for, if the options ask for states. Those of codes without an
                item are left out.

        Raises:
            DataError: ``evidence_columns`` or ``evidence_text`` names a column that the items do not have.
        """
        columns = ItemContent.of_columns(texts, names, *settings.columns) if settings.columns else None
        if not settings.uses_states:
            return cls(columns)
        written = texts.written_as(settings.evidence_text)
        if states is None:
            return cls(columns)
        states = states.only(np.array([code for code in states.items.tolist() if names[code]], dtype=np.int64))
        return cls(columns, states, tuple(written.text_of(names[code]) for code in states.items.tolist()))

    @classmethod
    def embedded(
        cls,
        settings: CollaborativeSettings,
        texts: ItemTexts,
        names: Sequence[str],
        items: np.ndarray,
        embed: EmbedTexts | None,
    ) -> "Contents":
        """What the options ask for, with states that are computed now if they ask for them.

        Args:
            names: items by code.
            items: codes of the items that terms are computed for, as :attr:`ItemStates.items`.
            embed: gives the states of texts; needed if the options ask for states.

        Raises:
            DataError: as :meth:`of`.
        """
        out = cls.of(settings, texts, names)
        if not settings.uses_states:
            return out
        assert embed is not None
        written = texts.written_as(settings.evidence_text)
        told = tuple(written.text_of(names[code]) for code in items.tolist())
        return replace(out, states=ItemStates.of(items, told, embed), texts=told)

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms that follow from it."""
        return ((CONTENT,) if self.columns else ()) + ((STATES,) if self.states else ())

    def options(self, options: TermOptions) -> TermOptions:
        """The constants of terms with those of these terms."""
        return replace(options, state_width=STATE_WIDTH if self.states else 0.0)

    def only(self, items: np.ndarray) -> "Contents":
        """With the states of some items alone.

        Args:
            items: as :attr:`ItemStates.items`.

        Raises:
            KeyError: an item without a state.
        """
        if self.states is None:
            return self
        text_of = dict(zip(self.states.items.tolist(), self.texts, strict=True))
        return replace(self, states=self.states.only(items), texts=tuple(text_of[code] for code in items.tolist()))

    def digest(self) -> str:
        """SHA-256 over all public text that closeness follows from, hexadecimal; empty if nothing is used."""
        columns = self.columns.digest() if self.columns else ""
        if self.states is None:
            return columns
        told = (
            part for code, text in zip(self.states.items.tolist(), self.texts, strict=True) for part in (code, text)
        )
        return digest_of("contents", columns, *told).hex()

    def closeness(
        self, firsts: np.ndarray, seconds: np.ndarray, options: TermOptions
    ) -> Iterator[tuple[str, np.ndarray]]:
        """By term the closeness of pairs of items, from 0 to 1, (p,).

        Args:
            firsts: item codes, (p,).
            seconds: item codes, (p,).

        Raises:
            KeyError: an item without a state.
        """
        if self.columns:
            yield CONTENT, self.columns.closeness(firsts, seconds, options.years)
        if self.states:
            yield STATES, self.states.closeness(firsts, seconds, options.state_width)


NOTHING = Contents()
"""No such term."""
