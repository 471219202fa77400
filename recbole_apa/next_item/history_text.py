"""A history as the language model reads it: a header, and one line an item, oldest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from recbole_apa.core.errors import PromptError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HEADER = "What this person chose, one after another:\n"
LONGEST_LINE = 48
"""Tokens of an item's line; a longer text is cut, so that no item pushes others out of the prompt."""


@dataclass(frozen=True)
class TokenizedHistory:
    """Token ids, (t,), and the position of each item's line break, (m,): the state there has read the items so far."""

    ids: tuple[int, ...]
    ends: tuple[int, ...]


class HistoryEncoder:
    """Turns lists of item texts into tokens. Each line is tokenized by itself, so that a line's tokens depend on its
    own text alone.

    Raises:
        PromptError: the tokenizer writes a line break as nothing.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        self._tokenizer = tokenizer
        self._header = self._ids(HEADER)
        self._break = self._ids("\n")
        self._lines: dict[str, tuple[int, ...]] = {}
        if not self._break:
            raise PromptError("the backbone's tokenizer has no token for a line break; expected one to end each item")

    def encode(self, texts: Sequence[str]) -> TokenizedHistory:
        """
        Args:
            texts: of the items, oldest first, (m,).
        """
        return self.encode_lines([self.line(text) for text in texts])

    def encode_lines(self, lines: Sequence[Sequence[int]]) -> TokenizedHistory:
        """
        Args:
            lines: the tokens of each item's line, oldest first, (m,).
        """
        ids, ends = list(self._header), []
        for line in lines:
            ids += line
            ends.append(len(ids) - 1)
        return TokenizedHistory(tuple(ids), tuple(ends))

    def line(self, text: str) -> tuple[int, ...]:
        """The tokens of an item's line with its line break."""
        found = self._lines.get(text)
        if found is None:
            found = (*self._ids(text)[: LONGEST_LINE - len(self._break)], *self._break)
            self._lines[text] = found
        return found

    def plain_tokens(self, n: int) -> tuple[int, ...]:
        """The first n tokens of the vocabulary that are letters and digits of ASCII and are read back as themselves; as
        many as there are, if fewer."""
        return tuple(islice((token for token in range(len(self._tokenizer)) if self._is_plain(token)), n))

    def _is_plain(self, token: int) -> bool:
        text = str(self._tokenizer.decode([token]))
        return text.isascii() and text.isalnum() and self._ids(text) == [token]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return ids
