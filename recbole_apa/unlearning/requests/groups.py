"""What a call asks for, by request."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from recbole_apa.core.errors import SettingsError
from recbole_apa.unlearning.requests.demands import Demand
from recbole_apa.unlearning.requests.files import read_demands
from recbole_apa.unlearning.requests.ids import map_ids


def groups_of(
    requests: str | Path | Sequence[str | Path] | None,
    named: Sequence[Demand],
    columns: Mapping[str, object] | None,
    ids: Mapping[str, str | Path] | None,
) -> list[Sequence[Demand]]:
    """The demands of each request: of each file, or of one file and what is named beside it.

    Raises:
        RequestError: a file is malformed, by line.
        SettingsError: several files, and names beside them.
    """
    files = [requests] if isinstance(requests, (str, Path)) else requests or []
    groups: list[Sequence[Demand]] = [map_ids(read_demands(Path(file), columns), ids) for file in files if file]
    if not named:
        return groups
    if len(groups) > 1:
        raise SettingsError("requests: found several files, and names beside them; put these into a file of their own")
    return [[*(groups[0] if groups else []), *named]]
