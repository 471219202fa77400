"""Recommendations that were written to files outside the run. They are noted, and named by certificates and audits;
they are never deleted from here, as by then another file may have the name."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.whole import json_of, temporary_of, write_json
from recbole_apa.next_item.run.store import EXPORTS

UNKNOWN = ""
"""The state of recommendations that a killed process may have written."""


def noted_exports(folder: Path) -> dict[str, str]:
    """File, absolute -> the name of the state that its recommendations are from.

    Raises:
        RunError: the list is damaged.
    """
    path = folder / EXPORTS
    value: Any = json_of(read_plain(path), path) if path.is_file() else {}
    if not isinstance(value, dict) or not all(isinstance(state, str) for state in value.values()):
        raise RunError(
            f"{path} is damaged, expected the files that recommendations were written to, each with a state's name; "
            "restore it from a copy"
        )
    return {str(name): state for name, state in value.items()}


@contextmanager
def noted_export(folder: Path, target: Path, state: str) -> Iterator[None]:
    """Note a file before and after it is written: what a kill leaves there may be of a state before. The first note
    goes again if the file cannot be written."""
    before, name = noted_exports(folder), str(target.resolve())
    if name not in before:
        write_json(folder / EXPORTS, {**before, name: UNKNOWN})
    try:
        yield
    except RunError:
        write_json(folder / EXPORTS, before)
        raise
    write_json(folder / EXPORTS, {**before, name: state})


def older_exports(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Files that are still there, with recommendations of a state that is in force no more; what a killed process was
    writing beside them is among them."""
    older = [Path(name) for name, state in noted_exports(folder).items() if state != manifest["state"]]
    return sorted(str(path) for name in older for path in (name, temporary_of(name)) if path.is_file())
