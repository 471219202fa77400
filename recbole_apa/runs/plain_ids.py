"""Whether tokens appear in a run's ids as they are."""

from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.store import knows_no_scopes


def has_plain_ids(manifest: Manifest) -> bool:
    """Whether ids are as before format 3, with tokens unescaped: in runs from then, and in those that grew or forgot
    since."""
    return knows_no_scopes(manifest) or bool(manifest.get("plain_ids"))
