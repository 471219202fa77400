"""The meaning of the columns of a request file, or of an addition's. An unknown column is rejected, never ignored:
without it a line may ask for far more than was meant."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from recbole_apa.core.errors import RequestError, SettingsError
from recbole_apa.core.options import nearest
from recbole_apa.unlearning.requests.demands import FIELDS

IGNORE = "ignore"
OPTION = "unlearn_columns"
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
    names: tuple[str, ...] = FIELDS
    """Our names: user, item and what else a line may have."""
    option: str = OPTION
    """The option that gives the file's names, for messages."""
    is_addition: bool = False
    """Whether each of our names is needed in each line, and unknown columns are refused in any case."""
    useless: Mapping[str, str] = field(default_factory=dict)
    """Columns that cannot be read -> why."""

    @classmethod
    def of(cls, columns: Mapping[str, Any] | None) -> "RequestColumns":
        """
        Args:
            columns: as for ``--unlearn_columns``: our name -> the file's, and ``ignore``: a list of the file's names.

        Raises:
            SettingsError: lists everything that is wrong with it.
        """
        return cls()._told(columns)

    @classmethod
    def of_addition(
        cls, columns: Mapping[str, Any] | None, names: tuple[str, ...], useless: Mapping[str, str]
    ) -> "RequestColumns":
        """
        Args:
            columns: as for ``--add_columns``, likewise.
            names: the run's columns, user and item first.
            useless: columns that cannot be read -> why.

        Raises:
            SettingsError: lists everything that is wrong with it.
        """
        return cls(names=names, option="add_columns", is_addition=True, useless=useless)._told(columns)

    def _told(self, columns: Mapping[str, Any] | None) -> "RequestColumns":
        if columns is None:
            return self
        if not isinstance(columns, Mapping):
            raise SettingsError(f"{self.option}: found {columns!r}, expected e.g. {self.example}")
        given = {str(name): str(column) for name, column in columns.items() if name != IGNORE}
        ignored = columns.get(IGNORE) or []
        ignored = [ignored] if isinstance(ignored, str) else ignored
        problems = [*_wrong_names(given, self.names), *_wrong_ignored(given, ignored, self.needed)]
        problems += [f"{name}: found {c!r}, expected a column's name" for name, c in columns.items() if c in (None, "")]
        if problems:
            raise SettingsError(f"{self.option}: {'; '.join(problems)}; expected e.g. {self.example}")
        return replace(self, given=given, ignored=frozenset(ignored))

    @property
    def example(self) -> str:
        """How the option may be given."""
        user, item = self.names[:2]
        return f'--{self.option}="{{{user}: uid, {item}: iid, ignore: [tag]}}"'

    @property
    def needed(self) -> tuple[str, ...]:
        """Columns that cannot be ignored: a line without its user or item would ask to forget all of the other."""
        return self.names if self.is_addition else self.names[:2]

    @property
    def meaning(self) -> dict[str, str]:
        """The file's column -> our name."""
        usual = {name: name for name in self.names if name not in self.given and name not in self.ignored}
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
            raise RequestError(f"{where}: found the columns {shown}, not the {missing[0]!r} of --{self.option}")
        said = {self.meaning.get(name) for name in known}
        lacking = [name for name in self.needed if name not in said]
        if lacking if self.is_addition else len(lacking) == len(self.needed):
            user, item = self.names[:2]
            expected = f"{', '.join(lacking)}, too" if self.is_addition else f"{user}, {item} or both"
            raise RequestError(
                f"{where}: found the columns {', '.join(known) or '(none)'}; expected {expected}, or their names in "
                f"this file with {self.example}"
            )
        for name in known:
            self.refuse_unknown(where, name)
        if n_index and lacking:
            raise RequestError(
                f"{where}: the first column has no name, and {self.names[0]} and {self.names[1]} are not both named: "
                "it may contain the other; expected a name for it"
            )
        return [*[None] * n_index, *(self.meaning.get(name) for name in known)]

    def unread(self, names: Sequence[str]) -> tuple[str, ...]:
        """Unknown columns; allowed if user and item are both mapped, and kept so that a request can be rejected if
        their content would matter."""
        return tuple(name for name in names if name not in self.meaning and name not in self.ignored)

    def refuse_unknown(self, where: str, name: str) -> None:
        """
        Raises:
            RequestError: a column that is not ours, not mapped and not ignored, unless it is a request's whose user
                and item are both mapped.
        """
        if name in self.meaning or name in self.ignored:
            return
        if name in self.useless:
            raise RequestError(
                f"{where}: found the column {name!r}, but {self.useless[name]}; take it out, or list it under ignore "
                f"with --{self.option}"
            )
        if not self.is_addition and {*self.names[:2]} <= set(self.given):
            return
        near = nearest(name, self.meaning, 0.5)
        hint = f"did you mean {near!r}? " if near else ""
        raise RequestError(
            f"{where}: found the unknown column {name!r}; {hint}expected "
            f"{', '.join(self.meaning)}; name others with {self.example}, or list them there under ignore"
        )


def plain_names(header: Sequence[str]) -> list[str]:
    """Column names without their types; "" for leading columns that are pandas' row numbers."""
    names = [_TYPE.sub("", name.strip()) for name in header]
    n_index = next((i for i, name in enumerate(names) if not _INDEX.fullmatch(name)), len(names))
    return [*[""] * n_index, *names[n_index:]]


def _wrong_names(given: Mapping[str, str], names: Sequence[str]) -> list[str]:
    out = []
    for name in given:
        if name not in names:
            near = nearest(name, [*names, IGNORE], 0.5)
            out.append(
                f"{name!r} is none of {', '.join(names)}, {IGNORE}" + (f" (did you mean {near!r}?)" if near else "")
            )
    columns = list(given.values())
    out += [f"two names for the column {c!r}" for c in sorted({c for c in columns if columns.count(c) > 1})]
    out += [
        f"{name} is read from the column {column!r}, but no other column is given for {column}"
        for name, column in given.items()
        if column in names and column not in given
    ]
    return out


def _wrong_ignored(given: Mapping[str, str], ignored: object, needed: Sequence[str]) -> list[str]:
    if not isinstance(ignored, (list, tuple)) or not all(isinstance(name, str) for name in ignored):
        return [f"{IGNORE}: found {ignored!r}, expected a list of columns"]
    out = [f"{name!r} is both read and ignored" for name in ignored if name in given.values()]
    return out + [
        f"{IGNORE}: {name} cannot be ignored; take the column out of the file" for name in ignored if name in needed
    ]
