"""What decides the numbers of a run."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from recbole_apa.core.seeding import digest_of


@dataclass(frozen=True)
class RunIdentity:
    """What decides the numbers of a run; an interrupted run resumes only if all of it is the same."""

    settings: dict[str, Any]
    options: dict[str, Any]
    """RecBole's options that rebuild the dataset."""
    dataset: str
    """Digest of what may be seen of the dataset, under the run's salt or, once something was forgotten, its key."""
    dataset_sums: str
    """The sums that are digested: a user can be subtracted from them. Empty before run format 4."""
    backbone: str
    """Digest of the weights."""
    draw: dict[str, str | None]
    """Hash cutoffs of the drawn samples, by split."""

    def digest(self) -> str:
        """SHA-256 over everything but ``options``, which also say where things are."""
        shown = {k: v for k, v in asdict(self).items() if k != "options" and (k, v) != ("dataset_sums", "")}
        return digest_of(json.dumps(shown, sort_keys=True)).hex()
