"""Read settings and check the names in them: of partitions, weight rules, adapter kinds."""

from typing import TYPE_CHECKING

from recbole_apa.adapters.kind import adapter_problems
from recbole_apa.adapters.weight_rules import weight_rule_problems
from recbole_apa.core.settings import APASettings
from recbole_apa.data.recbole_settings import Check, read_settings
from recbole_apa.partition import partition_problems

if TYPE_CHECKING:
    from recbole.config import Config

CHECKS: tuple[Check, ...] = (partition_problems, adapter_problems, weight_rule_problems)


def read_checked_settings(config: "Config") -> APASettings:
    """As :func:`~recbole_apa.data.recbole_settings.read_settings`.

    Raises:
        SettingsError: options are missing, unknown or out of range; lists all of them.
    """
    return read_settings(config, CHECKS)
