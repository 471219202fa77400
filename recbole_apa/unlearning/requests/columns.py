"""The meaning of a request file's columns. An unknown column is rejected, never ignored: without it a line may ask for
far more than was meant."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.core.options import nearest
from recbole_apa.unlearning.requests.demands import FIELDS

IGNORE = "ignore"
EXAMPLE = '--unlearn_columns="{user_id: uid, item_id: iid, ignore: [tag]}"'
_TYPE = re.compile(r":(token|float|token_seq|float_seq)$")
_INDEX = re.compile(r"(Unnamed: \d+(\.\d+)?)?")
"""The name that pandas gives to a column of row numbers without a name."""


@dataclass(frozen=True)
class RequestColumns:
    """Names of the file's columns."""

    given: Mapping[str, str] = field(default_factory=dict)
    """Our name -> the file's."""
    ignored: frozenset[str] = frozenset()
    """Columns that the user said to ignore."""

    @classmethod
    def of(cls, columns: Mapping[str, Any] | None) -> "RequestColumns":
        """
        Args:
            columns: as for ``--unlearn_columns``: our name -> the file's, and ``ignore``: a list of the file's names.

        Raises:
            SettingsError: lists everything that is wrong with it.
        """
        if columns is None:
            return cls()
        if not isinstance(columns, Mapping):
            raise SettingsError(f"unlearn_columns: found {columns!r}, expected e.g. {EXAMPLE}")
        given = {str(name): str(column) for name, column in columns.items() if name != IGNORE}
        ignored = columns.get(IGNORE) or []
        ignored = [ignored] if isinstance(ignored, str) else ignored
        problems = [*_wrong_names(given), *_wrong_ignored(given, ignored)]
        problems += [f"{name}: found {c!r}, expected a column's name" for name, c in columns.items() if c in (None, "")]
        if problems:
            raise SettingsError(f"unlearn_columns: {'; '.join(problems)}; expected e.g. {EXAMPLE}")
        return cls(given, frozenset(ignored))

    @property
    def meaning(self) -> dict[str, str]:
        """The file's column -> our name."""
        usual = {name: name for name in FIELDS if name not in self.given and name not in self.ignored}
        return usual | {column: name for name, column in self.given.items()}

    def read_header(self, where: str, header: Sequence[str]) -> list[str | None]:
        """Our name for each column, None for those that are not read.

        Raises:
            RequestError: repeated, unknown or missing columns, or neither user nor item.
        """
        names = plain_names(header)
        n_index = next((i for i, name in enumerate(names) if name), len(names))
        known = names[n_index:]
        repeated = sorted({name for name in known if known.count(name) > 1})
        if repeated:
            raise RequestError(f"{where}: the column {repeated[0]!r} appears twice; expected each once")
        missing = sorted(set(self.given.values()) - set(known))
        if missing:
            shown = ", ".join(known) or "(none)"
            raise RequestError(f"{where}: found the columns {shown}, not the {missing[0]!r} of --unlearn_columns")
        said = {self.meaning.get(name) for name in known}
        if not said & set(FIELDS[:2]):
            raise RequestError(
                f"{where}: found the columns {', '.join(known) or '(none)'}; expected user_id, item_id or both, or "
                f"their names in this file with {EXAMPLE}"
            )
        for name in known:
            self.refuse_unknown(where, name)
        if n_index and not {*FIELDS[:2]} <= said:
            raise RequestError(
                f"{where}: the first column has no name, and {FIELDS[0]} and {FIELDS[1]} are not both named: it may "
                "contain the other; expected a name for it"
            )
        return [*[None] * n_index, *(self.meaning.get(name) for name in known)]

    def unread(self, names: Sequence[str]) -> tuple[str, ...]:
        """Unknown columns; allowed if user and item are both mapped, and kept so that a request can be rejected if
        their content would matter."""
        return tuple(name for name in names if name not in self.meaning and name not in self.ignored)

    def refuse_unknown(self, where: str, name: str) -> None:
        """
        Raises:
            RequestError: a column that is not ours, not mapped and not ignored, unless user and item are both mapped.
        """
        if name in self.meaning or name in self.ignored or {*FIELDS[:2]} <= set(self.given):
            return
        near = nearest(name, self.meaning, 0.5)
        hint = f"did you mean {near!r}? " if near else ""
        raise RequestError(
            f"{where}: found the unknown column {name!r}; {hint}Expected "
            f"{', '.join(self.meaning)}; name others with {EXAMPLE}, or list them there under ignore"
        )


def plain_names(header: Sequence[str]) -> list[str]:
    """Column names without their types; "" for leading columns that are pandas' row numbers."""
    names = [_TYPE.sub("", name.strip()) for name in header]
    n_index = next((i for i, name in enumerate(names) if not _INDEX.fullmatch(name)), len(names))
    return [*[""] * n_index, *names[n_index:]]


def _wrong_names(given: Mapping[str, str]) -> list[str]:
    out = []
    for name in given:
        if name not in FIELDS:
            near = nearest(name, [*FIELDS, IGNORE], 0.5)
            out.append(
                f"{name!r} is none of {', '.join(FIELDS)}, {IGNORE}" + (f" (did you mean {near!r}?)" if near else "")
            )
    columns = list(given.values())
    out += [f"two names for the column {c!r}" for c in sorted({c for c in columns if columns.count(c) > 1})]
    out += [
        f"{name} is read from the column {column!r}, but no other column is given for {column}"
        for name, column in given.items()
        if column in FIELDS and column not in given
    ]
    return out


def _wrong_ignored(given: Mapping[str, str], ignored: object) -> list[str]:
    if not isinstance(ignored, (list, tuple)) or not all(isinstance(name, str) for name in ignored):
        return [f"{IGNORE}: found {ignored!r}, expected a list of columns"]
    out = [f"{name!r} is both read and ignored" for name in ignored if name in given.values()]
    # a line without its user or item asks to forget all of the other
    out += [
        f"{IGNORE}: {name} cannot be ignored; take the column out of the file" for name in ignored if name in FIELDS[:2]
    ]
    return out
