"""Keep the frozen activations of a run's samples beside its state, as the option ``keep_states`` says."""

from collections.abc import Sequence
from logging import getLogger

from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
from recbole_apa.runs.names import STATES
from recbole_apa.runs.store import RunStore
from recbole_apa.runs.trunk_activations import MOST_BYTES, VALIDATION, save_activations, splits_kept


def keep_activations(
    store: RunStore, engine: ScoringEngine, prompts: Sequence[Sequence[TokenizedPrompt]], keep_states: bool | str
) -> tuple[str, ...]:
    """Write ``states.safetensors``, or nothing.

    Args:
        prompts: of the training samples, and of the validation samples.

    Returns:
        the splits whose samples' activations were kept.
    """
    kept = splits_kept(keep_states)
    if keep_states == VALIDATION and not _are_few(engine, prompts[1]):
        kept = ()
    if not kept:
        (store.folder / STATES).unlink(missing_ok=True)  # an interrupted attempt may have been told otherwise
    elif keep_states == VALIDATION:
        # whatever the cache holds: a run's files do not depend on its size, or on who read the prompts
        size = engine.step_size
        steps = range(0, len(prompts[1]), size)
        passes = [frozen for i in steps for frozen in engine.freeze(prompts[1][i : i + size])]
        save_activations(store, prompts[1], passes)
    else:
        wanted = [prompt for part in prompts for prompt in part]
        save_activations(store, wanted, [engine.cache.get(prompt.ids) for prompt in wanted])
    return kept


def _are_few(engine: ScoringEngine, prompts: Sequence[TokenizedPrompt]) -> bool:
    """Whether there are prompts whose activations take no more than is kept; the log says if they take more."""
    if not prompts:
        return False
    # as many bytes a token as a row of the embedding table
    n_bytes = sum(len(prompt.ids) for prompt in prompts) * engine.decoder.embed(prompts[0].ids[:1]).nbytes
    if n_bytes > MOST_BYTES:
        getLogger().info(
            f"keep_states: validation: the {len(prompts)} validation samples take {n_bytes / 2**20:.0f} MiB, more than "
            f"{MOST_BYTES // 2**20}: not kept, and read again by each request; keep_states: true keeps them"
        )
    return n_bytes <= MOST_BYTES
