"""What the share of likes in a prompt's own history says already, as an offset of the answer's log odds.

With ``history_offset`` the adapters are trained on what is left: the offset is a constant of the prompt, without a
gradient, and rests on the lines that it shows alone.
"""

from collections.abc import Sequence

import numpy as np
from torch import Tensor, tensor

from recbole_apa.backbone.prompt_encoder import TokenizedPrompt


def offsets_before(labels: Sequence[int]) -> list[float]:
    """The log odds of the rate before each answer of a history, and before the target's, (n + 1,): of one like and one
    dislike more than there are, so 0 where nothing comes before.

    Args:
        labels: of the history's lines, oldest first, 0 or 1, (n,).
    """
    likes = np.concatenate(([0], np.cumsum(np.asarray(labels, dtype=np.int64))))
    found: list[float] = np.log((likes + 1) / (np.arange(len(likes)) - likes + 1)).tolist()
    return found


def target_offset(prompt: TokenizedPrompt) -> float:
    """The offset of the target's answer."""
    return offsets_before(prompt.labels)[-1]


def training_offsets(prompts: Sequence[TokenizedPrompt], target_alone: bool) -> Tensor:
    """The offset of each supervised answer, prompt after prompt, (m,), float32.

    Args:
        target_alone: as ``supervise: target``; else every answered line of the history as well.
    """
    told = [offsets_before(prompt.labels) for prompt in prompts]
    return tensor([value for row in told for value in (row[-1:] if target_alone else row)])
