"""What every room builds on: errors, options, seeds, the cache folder.

Imports no other room, and nothing of RecBole but the colours of its progress bars. ``files`` reads and writes files
safely; ``system`` deals with the machine and the process.
"""

from recbole_apa.core.cache import cache_folder
from recbole_apa.core.errors import (
    APAError,
    BackboneError,
    CertificateError,
    DataError,
    FinishedRunError,
    KeyFileError,
    PartitionError,
    PromptError,
    RequestError,
    RunError,
    SettingsError,
    TrainingError,
)
from recbole_apa.core.options import settings_from
from recbole_apa.core.seeding import derive_seed, digest_of, generator_for, hash_order
from recbole_apa.core.settings import APASettings

__all__ = [
    "APAError",
    "APASettings",
    "BackboneError",
    "CertificateError",
    "DataError",
    "FinishedRunError",
    "KeyFileError",
    "PartitionError",
    "PromptError",
    "RequestError",
    "RunError",
    "SettingsError",
    "TrainingError",
    "cache_folder",
    "derive_seed",
    "digest_of",
    "generator_for",
    "hash_order",
    "settings_from",
]
