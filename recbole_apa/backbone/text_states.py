"""The frozen model's last-layer state at the end of texts that stand alone: without a user, an answer, or an adapter.

Shapes: n texts, d hidden size.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from recbole_apa.backbone.engine import ScoringEngine


class TextStates:
    """Gives states of texts; each text is read once.

    Args:
        known: states that were computed before on this kind of machine, by text.
    """

    def __init__(self, engine: ScoringEngine, known: Mapping[str, np.ndarray] | None = None) -> None:
        self._engine = engine
        self.known: dict[str, np.ndarray] = dict(known or {})
        """States by text, float32, (d,)."""

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        """The states of some texts, (n, d), float32."""
        missing = [text for text in dict.fromkeys(texts) if text not in self.known]
        for text, state in zip(missing, text_states(self._engine, missing), strict=True):
            self.known[text] = state.numpy()
        none = np.zeros((0, self._engine.decoder.hidden_size), dtype=np.float32)
        return np.stack([self.known[text] for text in texts]) if texts else none


def text_states(engine: ScoringEngine, texts: Sequence[str]) -> list[Tensor]:
    """The state of each text at its last token, (d,) each, float32 on the CPU. A text is cut after as many tokens as
    prompts may have."""
    ids = [engine.encoder.ids_of(text)[: engine.encoder.max_tokens] for text in texts]

    def read(chunk: list[int]) -> Sequence[Tensor]:
        engine.bank.mix(None)
        with torch.no_grad():
            hidden = engine.decoder.upper(engine.decoder.trunk([ids[i] for i in chunk]))
        return [hidden[row, len(ids[i]) - 1].float().cpu() for row, i in enumerate(chunk)]

    return engine.in_batches(read, [len(row) for row in ids])
