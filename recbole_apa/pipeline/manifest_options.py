"""The options that a run's manifest may give when the run is opened: each known by name, and none that names a place to
write to, a program to run, or a way to spread work. Types are looked at where the options are read."""

from collections.abc import Mapping
from typing import Any

from recbole_apa.core.errors import RunError
from recbole_apa.data.recbole_checks import CHECKED
from recbole_apa.data.recbole_settings import OPTION_KEYS
from recbole_apa.pipeline.idle_options import IDLE

_OF_RECBOLE = frozenset(
    {
        "dataset",
        "eval_args",
        "threshold",
        "clip_grad_norm",
        "MAX_ITEM_LIST_LENGTH",
        "repeatable",
        "normalize_all",
        "normalize_field",
        "transform",
    }
)
NEVER_TAKEN = frozenset(
    {"checkpoint_dir", "log_dir", "key_file", "worker", "save_dataset", "save_dataloaders", "keep_states", *IDLE}
)
"""Options that somebody may have trained with, and that are passed over: they change nothing, or say where files go and
how work is spread, which is for whoever opens the run to say."""
PICKLES = frozenset({"dataset_save_path", "dataloaders_save_path"})
_TAKEN = (OPTION_KEYS | _OF_RECBOLE | frozenset(CHECKED)) - NEVER_TAKEN


def options_of(manifest: Mapping[str, Any], place: str) -> dict[str, Any]:
    """What a run's manifest says of its options, without those that are never taken from there.

    ``trust_remote_code`` is one of them: whether it may be followed is looked at by
    :func:`~recbole_apa.pipeline.build.refuse_remote_code`.

    Args:
        place: of the run, for messages.

    Raises:
        RunError: an option that no run has: named.
    """
    options: Mapping[str, Any] = manifest["options"]
    pickles = sorted(name for name in PICKLES if options.get(name))
    if pickles:
        raise RunError(
            f"{place}: its manifest names {pickles[0]} {str(options[pickles[0]])[:80]!r}, a pickle, which runs its "
            "writer's code; no run has that option: do not trust this folder"
        )
    unknown = sorted(set(options) - _TAKEN - NEVER_TAKEN - PICKLES)
    if unknown:
        raise RunError(
            f"{place}: its manifest has options that no run has ({', '.join(name[:60] for name in unknown[:5])}); "
            "expected those of a training: restore manifest.json from a copy"
        )
    return {name: value for name, value in options.items() if name in _TAKEN}
