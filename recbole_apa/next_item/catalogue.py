"""The items that are ranked: by token, out of the ``.item`` file; independent of RecBole.

Never by RecBole's numbers, which follow the order in which rows name items: forgetting a row would move them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from recbole_apa.core.errors import DataError
from recbole_apa.core.seeding import digest_over
from recbole_apa.data.item_text import ItemTexts


@dataclass(frozen=True)
class Catalogue:
    """Items in order of their tokens: item j is column j of every head, score and count."""

    items: tuple[str, ...]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, texts: ItemTexts) -> "Catalogue":
        """All items that have a line in the file, whether anybody has chosen them or not.

        Raises:
            DataError: fewer than two items, or no file.
        """
        items = tuple(sorted(texts.items))
        if len(items) < 2:
            raise DataError(
                f"the .item file has {len(items)} items, expected at least 2: APANext ranks the items of that file, by "
                "their texts"
            )
        return cls(items, tuple(texts.text_of(item) for item in items))

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def _column_of(self) -> dict[str, int]:
        return {item: column for column, item in enumerate(self.items)}

    def __contains__(self, item: object) -> bool:
        return item in self._column_of

    def column(self, item: str) -> int:
        """
        Raises:
            KeyError: the catalogue does not have it.
        """
        return self._column_of[item]

    def columns(self, items: Iterable[str]) -> list[int]:
        """The column of each item."""
        return [self._column_of[item] for item in items]

    def texts_of(self, items: Sequence[str]) -> list[str]:
        """The text of each item."""
        return [self.texts[self._column_of[item]] for item in items]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over items and texts."""
        return digest_over(("catalogue", *self.items, *self.texts)).hex()
