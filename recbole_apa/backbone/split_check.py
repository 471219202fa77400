"""Check before a run that a backbone's two parts, and cached keys and values of a prefix, give the whole's results.

In float32 whatever the run's dtype: bfloat16's rounding is larger than the error of a wrong mask. Shapes: t tokens in
the prompt, d hidden size.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from logging import getLogger
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from recbole_apa.backbone.answer_head import AnswerHead
from recbole_apa.backbone.full_precision import can_be_float32, in_float32
from recbole_apa.backbone.shared_prefix import SharedPass
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.errors import BackboneError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

SCORE = 1e-5
"""Largest allowed difference in s, at any position."""
STATES = 1e-4
"""Largest allowed difference in final hidden states, relative to the largest of them."""
ROUNDED = 1e-4
"""Largest allowed difference in s with cached prefixes: products of other shapes round differently."""
COARSE = 0.05
"""Likewise, and for the hidden states, in types of 16 bits or fewer."""
BEYOND = 16
"""How many tokens the test prompt extends beyond the longest window; its length if there is no window."""
WINDOWS = ("sliding_window", "attention_chunk_size")
LENGTH_DEPENDENT = ("dynamic", "longrope")
"""Kinds of rotary base that change beyond some length."""


@dataclass(frozen=True)
class Said:
    """The result at every position of one way of running the backbone."""

    activations: Tensor
    """(t, d)."""
    scores: Tensor
    """s, (t,)."""

    def is_near(self, other: "Said", score: float = SCORE, activations: float = STATES) -> bool:
        """Whether another way gives the same within the bounds."""
        by_score, by_state = self.differences(other)
        return by_score <= score and by_state <= activations

    def differences(self, other: "Said") -> tuple[float, float]:
        """Largest difference in scores, and in hidden states relative to the largest."""
        by_state = (self.activations - other.activations).abs().max() / self.activations.abs().max()
        return float((self.scores - other.scores).abs().max()), float(by_state)


def check_split(decoder: SplitDecoder, head: AnswerHead, max_tokens: int, shares_prefixes: bool) -> None:
    """Compare on a random prompt longer than every attention window that prompts can exceed.

    If keys and values of a prefix cannot be cached, a warning says so and prefixes are recomputed. If the last layer
    needs all positions to give the right ones, it is given all.

    Args:
        max_tokens: length of the longest prompt.
        shares_prefixes: whether shared prefixes are to be computed once.

    Raises:
        BackboneError: the parts do not give the same as the whole, or the answer logits differ from the model's.
    """
    ids = _probe(decoder, probe_length(decoder.decoder.config, max_tokens))
    castable = can_be_float32(decoder.model)
    with torch.no_grad(), in_float32(decoder.model, decoder.decoder) if castable else nullcontext():
        whole = _whole(decoder, head, ids)
        _check_parts(decoder, head, ids, whole)
        if decoder.skips_unread:
            decoder.skips_unread = _skips_rightly(decoder, head, ids, whole)
        if shares_prefixes:
            exact = castable or all(p.dtype == torch.float32 for p in decoder.model.parameters())
            _check_kept_keys(decoder, head, ids, whole, (ROUNDED, STATES) if exact else (COARSE, COARSE))


def probe_length(config: "PretrainedConfig", max_tokens: int) -> int:
    """t: a few more than the longest window, or other length at which layers change, within ``max_tokens``."""
    lengths = [0, *(n for n in _lengths(config.get_text_config()) if n < max_tokens)]
    return min(max_tokens, max(lengths) + BEYOND)


def _lengths(config: "PretrainedConfig") -> Iterator[int]:
    for name in WINDOWS:
        if isinstance(getattr(config, name, None), int):
            yield getattr(config, name)
    rotary = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    for kind in (rotary, *(v for v in rotary.values() if isinstance(v, dict))):
        if kind.get("rope_type") in LENGTH_DEPENDENT:
            own = kind.get("original_max_position_embeddings")
            yield own or getattr(config, "original_max_position_embeddings", None) or config.max_position_embeddings


def _probe(decoder: SplitDecoder, n_tokens: int) -> list[int]:
    n_words = decoder.family.embeddings(decoder.model).weight.shape[0]
    return torch.randint(n_words, (n_tokens,), generator=torch.Generator().manual_seed(0)).tolist()


def _said(head: AnswerHead, activations: Tensor) -> Said:
    return Said(activations.float().cpu(), torch.sigmoid(head.margins(activations)).cpu())


def _whole(decoder: SplitDecoder, head: AnswerHead, ids: list[int]) -> Said:
    """The result of the model's own forward.

    Raises:
        BackboneError: it computes its logits in a way that the answer head does not support.
    """
    kept: list[Tensor] = []
    hook = decoder.decoder.register_forward_hook(lambda module, given, out: kept.append(out.last_hidden_state[0]))
    try:
        with _two_rows(head):
            z = decoder.model(input_ids=torch.tensor([ids], device=decoder.device), use_cache=False).logits[0].float()
    finally:
        hook.remove()
    said = _said(head, kept[0])
    own = torch.sigmoid(z[:, 1] - z[:, 0]).cpu()
    gap = float((said.scores[-len(own) :] - own).abs().max())
    if not gap <= SCORE:
        raise BackboneError(
            f"the backbone's class ({type(decoder.model).__name__}) scales its logits in an unsupported way "
            f"(scores differ by {gap:.3g}); use another backbone"
        )
    return said


@contextmanager
def _two_rows(head: AnswerHead) -> Iterator[None]:
    """Reduce the output layer to the two answers: float32 logits of a whole vocabulary may not fit."""
    module: Any = head.head
    own = module.__dict__.get("forward")
    module.forward = head.products
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own


def _check_parts(decoder: SplitDecoder, head: AnswerHead, ids: list[int], whole: Said) -> None:
    name, remedy = type(decoder.decoder).__name__, "set trunk_layers: 0" if decoder.n_trunk else "use another backbone"
    found = f"the backbone's decoder ({name}) does not give the same in two parts (trunk_layers = {decoder.n_trunk}"
    try:
        parts = _said(head, decoder.upper(decoder.trunk([ids]))[0])
    except Exception as error:
        raise BackboneError(f"{found}: {type(error).__name__}: {str(error)[:200]}); {remedy}") from error
    if not whole.is_near(parts):
        by_score, by_state = whole.differences(parts)
        raise BackboneError(
            f"{found}: on {len(ids)} tokens scores differ by {by_score:.3g}, expected at most {SCORE:g}, and states by "
            f"{by_state:.3g} of the largest, expected at most {STATES:g}); {remedy}"
        )


def _skips_rightly(decoder: SplitDecoder, head: AnswerHead, ids: list[int], whole: Said) -> bool:
    rows = [ids, ids[: len(ids) // 2 + 1]]
    read = [[len(ids) - 1], [len(ids) // 4, len(ids) // 2]]
    try:
        found = _said(head, decoder.upper_at(decoder.trunk(rows), read))
        places = [p for row in read for p in row]
        return Said(whole.activations[places], whole.scores[places]).is_near(found, ROUNDED)
    except Exception:  # whatever another layer's own code raises
        return False


def _check_kept_keys(
    decoder: SplitDecoder, head: AnswerHead, ids: list[int], whole: Said, bounds: tuple[float, float]
) -> None:
    try:
        parts = _said(head, _continued(decoder, ids))
        by_score, by_state = whole.differences(parts)
        near = whole.is_near(parts, *bounds)
        found = f"scores differ by {by_score:.3g}, states by {by_state:.3g} of the largest"
    except Exception as error:
        near, found = False, f"{type(error).__name__}: {str(error)[:200]}"
    if not near:
        decoder.caches_keys = False
        getLogger().warning(
            "shared_prefixes: with cached keys and values, the backbone's decoder "
            f"({type(decoder.decoder).__name__}) gives different results than without ({found}); shared prefixes are "
            "recomputed for each prompt, which takes longer"
        )


def _continued(decoder: SplitDecoder, ids: list[int]) -> Tensor:
    """Final hidden states, (t, d), of a prompt whose end is one of two continuations of different length."""
    middle = len(ids) - BEYOND // 2
    rests = [ids[middle:], ids[middle:-3]]
    trunk = SharedPass(decoder.trunk_pass, 0, decoder.embed(ids[:middle]))
    upper = SharedPass(decoder.upper_pass, decoder.n_trunk, trunk.activations)
    return torch.cat([upper.activations, upper.extend(trunk.extend([decoder.embed(rest) for rest in rests]))[0]])
