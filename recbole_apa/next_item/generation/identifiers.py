"""What is written for each item of a catalogue: the one thing in which titles and codes differ. Tries, searches, losses
and drafts take either.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from recbole_apa.next_item.generation.objective import TitleDecisions
from recbole_apa.next_item.generation.trie import Trie


@dataclass(frozen=True)
class Identifiers:
    """The items' tokens; item j is column j."""

    name: str
    """Plural, as tables and messages say it: ``titles`` or ``codes``."""
    tokens: tuple[tuple[int, ...], ...]
    """What is written for each item: all different, none the beginning of another."""
    lines: tuple[tuple[int, ...], ...]
    """Each item's line in a history. It begins with what is written for the item, so that one pass over a history has
    every decision that led to its items; of titles that are repeated, as far as the history tells them apart."""

    @cached_property
    def trie(self) -> Trie:
        """
        Raises:
            ValueError: as :meth:`Trie.of`.
        """
        return Trie.of(self.tokens)

    @cached_property
    def decisions(self) -> TitleDecisions:
        """Finds the decisions that a history shows."""
        return TitleDecisions(self.trie, self.lines)

    def lines_of(self, columns: Iterable[int]) -> list[tuple[int, ...]]:
        """The lines of some items."""
        return [self.lines[column] for column in columns]


def coded(written: Sequence[Sequence[int]], lines: Sequence[Sequence[int]]) -> Identifiers:
    """Codes.

    Args:
        written: the tokens of each item's code.
        lines: of each item's text: a history shows the code, then the text.
    """
    whole = tuple((*code, *line) for code, line in zip(written, lines, strict=True))
    return Identifiers("codes", tuple(map(tuple, written)), whole)
