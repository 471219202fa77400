"""Translate ids of a request file into the dataset's, using files that map one to the other."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.unlearning.requests.demands import Demand, shortened

_KINDS = {"user_id": "user", "item_id": "item"}


def map_ids(demands: Sequence[Demand], files: Mapping[str, str | Path] | None) -> list[Demand]:
    """Demands with the dataset's own ids.

    Args:
        files: ``{"user_id": FILE, "item_id": FILE}``, or one of them: CSV files with two columns, the request's id and
            the dataset's; the header calls the second one ``user_id`` or ``item_id``.

    Raises:
        SettingsError: a name other than these.
        RequestError: a file is malformed, or an id is not in it.
    """
    unknown = sorted(set(files or {}) - set(_KINDS))
    if unknown:
        raise SettingsError(f"unlearn_ids: found {unknown[0]!r}, expected {' and '.join(_KINDS)}")
    tables = {_KINDS[name]: (Path(path), _read(Path(path), name)) for name, path in (files or {}).items()}
    return [_mapped(demand, tables) for demand in demands]


def _mapped(demand: Demand, tables: Mapping[str, tuple[Path, Mapping[str, str]]]) -> Demand:
    for kind, (path, known) in tables.items():
        theirs = getattr(demand, kind)
        if theirs is None:
            continue
        if theirs not in known:
            raise RequestError(
                f"{demand.where}: {kind} {shortened(theirs)} is not in {path}; expected a line for every {kind} of the "
                "request; nothing was changed"
            )
        demand = replace(demand, user=known[theirs]) if kind == "user" else replace(demand, item=known[theirs])
    return demand


def _read(path: Path, name: str) -> dict[str, str]:
    """The request's ids -> the dataset's."""
    out: dict[str, str] = {}
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            if len(header) != 2 or header[1] != name or header[0] == name:
                raise RequestError(
                    f"{path}, line 1: found {','.join(header)!r}, expected a name for the request's ids and then "
                    f"{name} for the dataset's, e.g. 'theirs,{name}'"
                )
            for row in (row for row in reader if row):
                if len(row) != 2 or not all(row):
                    raise RequestError(
                        f"{path}, line {reader.line_num}: found {row}, expected an id and the dataset's id"
                    )
                if out.setdefault(row[0], row[1]) != row[1]:
                    raise RequestError(f"{path}, line {reader.line_num}: {row[0]!r} appears twice, with different ids")
    except (OSError, UnicodeError, csv.Error) as error:
        raise RequestError(f"cannot read {path}: {error}; nothing was changed") from error
    return out
