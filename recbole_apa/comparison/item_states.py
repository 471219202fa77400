"""States of items' texts for rows without a language model: the backbone is loaded if one is missing."""

from collections.abc import Sequence

import numpy as np

from recbole_apa.backbone.text_states import TextStates
from recbole_apa.collaborative.item_states import EmbedTexts
from recbole_apa.comparison.context import ComparisonContext
from recbole_apa.pipeline.build import build_model


def text_states_of(context: ComparisonContext) -> EmbedTexts:
    """Gives states of texts; the context keeps them for all methods and seeds."""

    def states(texts: Sequence[str]) -> np.ndarray:
        known = context.text_states
        if any(text not in known for text in texts):
            computed = TextStates(build_model(context.config, context.data).engine, known)
            computed(texts)
            known.update(computed.known)
        return np.stack([known[text] for text in texts])

    return states
