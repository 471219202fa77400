"""Lists of option names, derived from our table of options and from that of RecBole's options."""

from collections.abc import Iterable

from recbole_apa.core.arguments import ARGUMENTS
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option import Says
from recbole_apa.core.option_table import EXECUTION_KEYS, names_that_say
from recbole_apa.data.recbole_checks import CHECKED
from recbole_apa.data.recbole_options import IDLE, Role, recbole_names
from recbole_apa.data.recbole_settings import OPTION_KEYS

RUN_KEYS = EXECUTION_KEYS | ARGUMENTS
"""Options that say where and how to compute, not what; a run's manifest has none of them."""
MOVABLE = frozenset(names_that_say(Says.MAY_CHANGE)) | recbole_names(Role.MAY_CHANGE)
"""Options that may differ when a run is loaded: digests check that what they name is the same."""
NEVER_TAKEN = frozenset(names_that_say(Says.PASSED_OVER)) | recbole_names(Role.PASSED_OVER) | frozenset(IDLE)
"""Options that a run may have been trained with, but that its manifest does not set when the run is opened: they change
nothing, or say where files go and how work is distributed, which is up to whoever opens the run."""
TAKEN = (OPTION_KEYS | recbole_names(Role.IN_MANIFEST) | CHECKED) - NEVER_TAKEN
"""Options that a manifest may set."""
TRUST = "trust_remote_code"
"""May be given when a run is opened, if the run was trained with it."""
RECBOLE_EXTRA = recbole_names(Role.UNLISTED)
"""Options that RecBole's code reads, but that its argument lists lack."""


def refuse_fixed(changes: Iterable[str]) -> None:
    """
    Args:
        changes: names of the options that are given for a finished run.

    Raises:
        SettingsError: one of them would change what the run computes.
    """
    fixed = sorted(set(changes) - MOVABLE - {TRUST})
    if fixed:
        raise SettingsError(
            f"{', '.join(fixed)}: a finished run is evaluated with its own settings; expected only "
            f"{', '.join(sorted(MOVABLE))}"
        )
