"""Lists of option names that the room needs, derived from our table of options and from that of RecBole's."""

from recbole_apa.core.option import Says
from recbole_apa.core.option_table import EXECUTION_KEYS, names_that_say
from recbole_apa.data.recbole_checks import CHECKED
from recbole_apa.data.recbole_options import IDLE, Role, recbole_names
from recbole_apa.data.recbole_settings import OPTION_KEYS

ARGUMENTS = frozenset({"model", "dataset", "config_files", "run", "run_dir"})
"""What is run, and where: arguments of :func:`~recbole_apa.pipeline.quick_start.run` and of the command line."""
RUN_KEYS = EXECUTION_KEYS | ARGUMENTS
"""Options that say where and how, not what is computed; a run's manifest has none of them."""
MOVABLE = frozenset(names_that_say(Says.MAY_CHANGE)) | recbole_names(Role.MAY_CHANGE)
"""Options that may differ when a run is loaded: digests tell whether what they name is the same."""
NEVER_TAKEN = frozenset(names_that_say(Says.PASSED_OVER)) | recbole_names(Role.PASSED_OVER) | frozenset(IDLE)
"""Options that somebody may have trained with, and that a manifest does not decide when its run is opened: they change
nothing, or say where files go and how work is spread, which is for whoever opens the run to say."""
TAKEN = (OPTION_KEYS | recbole_names(Role.IN_MANIFEST) | CHECKED) - NEVER_TAKEN
"""Options that a manifest may give."""
RECBOLE_EXTRA = recbole_names(Role.UNLISTED)
"""Options that RecBole's code reads and its lists of arguments lack."""
