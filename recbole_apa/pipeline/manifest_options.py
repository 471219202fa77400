"""The options that a run's manifest may set when the run is opened: only known names, and none that names a place to
write to, code to run, or a way to distribute work. Types are checked where the options are read."""

from collections.abc import Mapping
from typing import Any

from recbole_apa.core.errors import RunError
from recbole_apa.core.option_table import LATER_OPTIONS
from recbole_apa.data.recbole_options import Role, recbole_names
from recbole_apa.data.recbole_settings import OPTION_KEYS
from recbole_apa.pipeline.option_names import NEVER_TAKEN, TAKEN
from recbole_apa.runs.manifest import Manifest

_PICKLES = recbole_names(Role.PICKLE)


def options_of(manifest: Manifest, place: str) -> dict[str, Any]:
    """The options in a run's manifest, without those that are never taken from there; one that came after the run was
    made has the value that changes nothing.

    ``trust_remote_code`` is one of the latter; :func:`~recbole_apa.pipeline.build.refuse_remote_code` checks it.

    Args:
        place: of the run, for messages.

    Raises:
        RunError: names an option that no run has.
    """
    options: Mapping[str, Any] = manifest["options"]
    pickles = sorted(name for name in _PICKLES if options.get(name))
    if pickles:
        raise RunError(
            f"{place}: its manifest names {pickles[0]} {str(options[pickles[0]])[:80]!r}, a pickle, which runs its "
            "writer's code; no run has that option: do not trust this folder"
        )
    unknown = sorted(set(options) - TAKEN - NEVER_TAKEN - _PICKLES)
    if unknown:
        raise RunError(
            f"{place}: its manifest has options that no run has ({', '.join(name[:60] for name in unknown[:5])}); "
            "expected those of a training: restore manifest.json from a copy"
        )
    before = {name: value for name, value in LATER_OPTIONS.items() if name in OPTION_KEYS}
    return {**before, **{name: value for name, value in options.items() if name in TAKEN}}
