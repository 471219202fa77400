"""The frozen passes of a run's training and validation samples on disk, so that a request need not embed the prompts
again. Each is named by the digest of its prompt's tokens."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from recbole_apa.core.files.tensors import Expected, check_values
from recbole_apa.core.files.whole import write_whole
from recbole_apa.core.seeding import digest_of
from recbole_apa.data.splits import SPLITS
from recbole_apa.runs.names import EMBEDDINGS, STATES
from recbole_apa.runs.store import RunStore

if TYPE_CHECKING:
    from torch import Tensor

    from recbole_apa.backbone.activation_cache import ActivationCache, FrozenPass
    from recbole_apa.backbone.prompt_encoder import TokenizedPrompt

_FLOATS = ("float32", "bfloat16", "float16")
_PARTS = {"states": Expected(("tokens", "d"), _FLOATS), "embedding": Expected(("d",), _FLOATS)}


VALIDATION: Final = "validation"
"""The value of the option ``keep_states`` that keeps the activations of validation samples alone."""

MOST_BYTES = 256 * 2**20
"""With that value, more than this is not kept."""


def splits_kept(keep_states: bool | str) -> tuple[str, ...]:
    """The splits whose samples' activations are kept, by the option ``keep_states``."""
    return SPLITS[1:2] if keep_states == VALIDATION else SPLITS[:2] if keep_states else ()


def save_activations(
    store: RunStore, prompts: "Sequence[TokenizedPrompt]", passes: "Sequence[FrozenPass | None]"
) -> None:
    """Write ``states.safetensors``: the activations of these prompts, and no others.

    Args:
        passes: of each prompt; None leaves it out.
    """
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    for prompt, frozen in zip(prompts, passes, strict=True):
        if frozen is not None:
            name = activation_name(prompt)
            # in float32 h may be a view into the activations
            tensors |= {f"{name}.states": frozen.activations.cpu(), f"{name}.embedding": frozen.embedding.clone()}
    write_whole(store.folder / STATES, lambda path: save_file(tensors, path))


def kept_as(store: RunStore) -> bool | str:
    """The value of ``keep_states`` that a run goes on with: what it has, by its lineage.

    Raises:
        RunError: the lineage is damaged.
    """
    if not store.has(STATES):
        return False
    seen = store.lineage()
    return True if seen.get(STATES, {}).keys() & seen.get(EMBEDDINGS, {}).keys() else VALIDATION


def load_activations(store: RunStore, cache: "ActivationCache", prompts: "Sequence[TokenizedPrompt]") -> int:
    """Put into the cache what the run has of these prompts; returns how many."""
    from recbole_apa.backbone.activation_cache import FrozenPass

    if not store.has(STATES):
        return 0
    found = 0
    with store.open_tensors(STATES) as file:
        names = set(file.keys())
        for prompt in prompts:
            name = activation_name(prompt)
            if f"{name}.states" in names and f"{name}.embedding" in names:
                activations, embedding = (file.get_tensor(f"{name}.{part}") for part in ("states", "embedding"))
                for part, tensor in (("states", activations), ("embedding", embedding)):
                    check_activations(tensor, f"{store.folder / STATES}: {name}.{part}", part)
                cache.put(prompt.ids, FrozenPass(activations, embedding))
                found += 1
    return found


def check_activations(tensor: "Tensor", what: str, part: str) -> None:
    """
    Args:
        what: for messages.
        part: ``states`` or ``embedding``.

    Raises:
        RunError: another type or shape, or values that are not finite numbers.
    """
    check_values(tensor, what, _PARTS[part])


def wrong_activations(store: RunStore, cache: "ActivationCache", prompts: "Sequence[TokenizedPrompt]") -> int:
    """How many of the run's activations belong to none of these prompts, or differ from those in the cache."""
    if not store.has(STATES):
        return 0
    computed = {activation_name(prompt): cache.get(prompt.ids) for prompt in prompts}
    wrong = 0
    with store.open_tensors(STATES) as file:
        for name in (key.removesuffix(".states") for key in list(file.keys()) if key.endswith(".states")):
            known = computed.get(name)
            there = file.get_tensor(f"{name}.states")
            wrong += name not in computed or (known is not None and not known.activations.cpu().equal(there))
    return wrong


def activation_name(prompt: "TokenizedPrompt") -> str:
    """SHA-256 over the prompt's tokens."""
    return digest_of(*prompt.ids).hex()
