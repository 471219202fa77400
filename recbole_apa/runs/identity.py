"""What decides the numbers of a run."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from recbole_apa.core.seeding import digest_of


@dataclass(frozen=True)
class RunIdentity:
    """What decides the numbers of a run; an interrupted run resumes only where all of it is the same."""

    settings: dict[str, Any]
    options: dict[str, Any]
    """RecBole's options with which the dataset is made again."""
    dataset: str
    """Digest of what may be seen of the dataset, under the run's salt or, once something was forgotten, its key."""
    dataset_sums: str
    """The sums it is a digest of: a user can be taken out of them. Empty before run format 4."""
    backbone: str
    """Digest of the weights."""
    draw: dict[str, str | None]
    """Hash cutoffs of the drawn samples, by split."""

    def digest(self) -> str:
        """SHA-256 over everything but ``options``, which say where things lie as well."""
        shown = {k: v for k, v in asdict(self).items() if k != "options" and (k, v) != ("dataset_sums", "")}
        return digest_of(json.dumps(shown, sort_keys=True)).hex()
