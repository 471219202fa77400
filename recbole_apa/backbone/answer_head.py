"""From hidden states to answers: s = sigmoid(z_yes - z_no), and the losses (docs/how-it-works.md)."""

from typing import TYPE_CHECKING

import torch
from accelerate.utils import align_module_device
from torch import Tensor
from torch.nn import functional as F

from recbole_apa.backbone.family import family_of
from recbole_apa.backbone.prompt_encoder import AnswerTokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class AnswerHead:
    """Projects chosen positions to the two answers, or to the vocabulary for the full loss; applies the scale or cap
    that some families have on their logits."""

    def __init__(self, model: "PreTrainedModel", answers: AnswerTokens) -> None:
        family = family_of(model)
        self.head = family.head(model)
        self.answers = answers
        rows = torch.tensor([answers.no, answers.yes])
        with align_module_device(self.head):
            bias = getattr(self.head, "bias", None)
            self._pair: Tensor = self.head.weight[rows].float()
            self._pair_bias = None if bias is None else bias[rows].float()
        self._scaled = family.logit_scale(model)

    def logits(self, hidden: Tensor) -> Tensor:
        """z_no and z_yes: (m, d) -> (m, 2), float32."""
        return self._scaled(self.products(hidden))

    def products(self, hidden: Tensor) -> Tensor:
        """As :meth:`logits`, before any scale: the output layer's own two rows, (..., d) -> (..., 2)."""
        self._pair = self._pair.to(hidden.device)  # if layers are on several devices, where the last one is
        if self._pair_bias is not None:
            self._pair_bias = self._pair_bias.to(hidden.device)
        return F.linear(hidden.float(), self._pair, self._pair_bias)

    def margins(self, hidden: Tensor) -> Tensor:
        """z_yes - z_no: (m, d) -> (m,), float32."""
        z = self.logits(hidden)
        return z[:, 1] - z[:, 0]

    def loss(self, hidden: Tensor, labels: Tensor, over: str, offsets: Tensor | None = None) -> Tensor:
        """Mean negative log-likelihood of the answers: (m, d), (m,) -> ().

        Args:
            labels: 1 for yes, 0 for no.
            over: ``yes_no`` or ``full`` (the whole vocabulary; the paper).
            offsets: added to z_yes of each answer, (m,); None adds nothing.
        """
        if over == "yes_no":
            margins = self.margins(hidden)
            margins = margins if offsets is None else margins + offsets
            return F.binary_cross_entropy_with_logits(margins, labels.float())
        logits = self._scaled(self.head(hidden).float())  # (m, vocabulary)
        if offsets is not None:
            yes = torch.tensor([self.answers.yes], device=logits.device)
            logits = logits.index_add(1, yes, offsets[:, None])
        return F.cross_entropy(logits, torch.where(labels.long() == 1, self.answers.yes, self.answers.no))
