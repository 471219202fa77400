"""States of the frozen language model after each item of a history: one pass a user.

Shapes: m items of a history, t tokens, d hidden size.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from recbole_apa.backbone.load import Backbone
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.backbone.threads import map_on_threads
from recbole_apa.core.errors import SettingsError
from recbole_apa.next_item.history_text import HistoryEncoder, TokenizedHistory

AT_ONCE = 64
"""Passes between two steps of the progress bar."""


class HistoryStates:
    """Reads histories with the frozen model. Each history is read alone, on one thread of a CPU: its states depend on
    nothing but its own tokens, in every bit.

    Args:
        length: the most items in a history.

    Raises:
        SettingsError: the backbone reads fewer tokens than ``length`` items may take.
    """

    def __init__(self, backbone: Backbone, length: int) -> None:
        self.encoder = HistoryEncoder(backbone.tokenizer)
        self.decoder = SplitDecoder(backbone.model, 0)
        self.length = length
        self._most = getattr(backbone.model.config, "max_position_embeddings", None)
        if length < 1:
            raise SettingsError(f"MAX_ITEM_LIST_LENGTH: found {length}, expected at least 1")

    @property
    def hidden_size(self) -> int:
        """d."""
        return self.decoder.hidden_size

    def after_each(self, texts: Sequence[str]) -> Tensor:
        """The state after each item of one history: (m, d), float32 on the CPU. No gradients.

        Args:
            texts: of the items, oldest first, at least one.

        Raises:
            SettingsError: the history has more tokens than the backbone reads.
        """
        return self._read(self._encode(texts))

    def refuse_long(self, histories: Iterable[Sequence[str]]) -> None:
        """Without a pass.

        Raises:
            SettingsError: one has more tokens than the backbone reads.
        """
        for texts in histories:
            self._encode(texts)

    def of_many(
        self, histories: Sequence[Sequence[str]], step: Callable[[int], None] = lambda n: None
    ) -> Iterator[Tensor]:
        """:meth:`after_each` of several histories, in their order; several are read at once.

        Args:
            step: called with how many were read since the last call.
        """
        for start in range(0, len(histories), AT_ONCE):
            part = [self._encode(texts) for texts in histories[start : start + AT_ONCE]]
            yield from map_on_threads(self._read, part, self.decoder.device.type != "cpu")
            step(len(part))

    def _encode(self, texts: Sequence[str]) -> TokenizedHistory:
        if not 1 <= len(texts) <= self.length:
            raise ValueError(f"found a history of {len(texts)} items, expected 1 to {self.length}")
        return self.encoded([self.encoder.line(text) for text in texts])

    def encoded(self, lines: Sequence[Sequence[int]]) -> TokenizedHistory:
        """A history's tokens.

        Args:
            lines: the tokens of each item's line, oldest first.

        Raises:
            SettingsError: they are more than the backbone reads.
        """
        history = self.encoder.encode_lines(lines)
        if self._most is not None and len(history.ids) > self._most:
            raise SettingsError(
                f"MAX_ITEM_LIST_LENGTH: {len(lines)} items take {len(history.ids)} tokens, and the backbone reads "
                f"{self._most}; show fewer items"
            )
        return history

    @torch.no_grad()
    def _read(self, history: TokenizedHistory) -> Tensor:
        hidden = self.decoder.upper(self.decoder.trunk([history.ids]))[0]
        return hidden[list(history.ends)].float().cpu()
