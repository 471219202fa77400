"""Keep the frozen activations of a run's samples beside its state, as the option ``keep_states`` says."""

from collections.abc import Sequence
from logging import getLogger

from recbole_apa.backbone.engine import ScoringEngine
from recbole_apa.backbone.prompt_encoder import TokenizedPrompt
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
    if keep_states != VALIDATION:
        kept = splits_kept(keep_states)
        if kept:
            wanted = [prompt for part in prompts for prompt in part]
            save_activations(store, wanted, [engine.cache.get(prompt.ids) for prompt in wanted])
        return kept
    wanted = list(prompts[1])
    if not wanted:
        return ()
    n_bytes = _bytes_of(engine, wanted)
    if n_bytes > MOST_BYTES:
        getLogger().info(
            f"keep_states: validation: the {len(wanted)} validation samples take {n_bytes / 2**20:.0f} MiB, more than "
            f"{MOST_BYTES // 2**20}: not kept, and read again by each request; keep_states: true keeps them"
        )
        return ()
    # whatever the cache holds: a run's files do not depend on its size, or on who read the prompts
    size = engine.step_size
    steps = range(0, len(wanted), size)
    save_activations(store, wanted, [frozen for i in steps for frozen in engine.freeze(wanted[i : i + size])])
    return splits_kept(keep_states)


def _bytes_of(engine: ScoringEngine, prompts: Sequence[TokenizedPrompt]) -> int:
    """How many bytes the activations of prompts take: as many a token as a row of the embedding table."""
    return sum(len(prompt.ids) for prompt in prompts) * engine.decoder.embed(prompts[0].ids[:1]).nbytes
