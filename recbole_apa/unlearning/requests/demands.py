"""A single thing that a request asks to forget."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

from recbole_apa.core.errors import RequestError

FIELDS = ("user_id", "item_id", "timestamp", "rating")
"""Names of the fields that a request may have."""
UNREAD = "unread"
"""Key of a line's columns that were not read."""
PASSED = "passed"
"""Likewise, including those that the user said to ignore."""
LONGEST_SHOWN, LONGEST_NAMED = 40, 200


@dataclass(frozen=True, slots=True)
class Demand:
    """One line of a request: an interaction (user and item, perhaps its time and rating), a whole user, or a whole
    item."""

    where: str
    """For messages, e.g. ``requests.csv, line 3``."""
    user: str | None = None
    item: str | None = None
    time: float | None = None
    value: float | None = None
    """The rating that the interaction has according to the request."""
    unread: tuple[str, ...] = ()
    """Columns of the file that were not read."""

    @property
    def kind(self) -> str:
        """``interaction``, ``user`` or ``item``."""
        if self.user is not None and self.item is not None:
            return "interaction"
        return "user" if self.user is not None else "item"

    def __str__(self) -> str:
        named = {"user": self.user, "item": self.item, "time": self.time, "rating": self.value}
        return ", ".join(f"{k} {printable(str(v))}" for k, v in named.items() if v is not None)


def make_demand(where: str, values: Mapping[str, Any]) -> Demand:
    """A demand from a line's values under :data:`FIELDS`; missing or blank ones are ignored.

    Raises:
        RequestError: neither user nor item, a time or a rating without both, or values of the wrong kind.
    """
    read = values.get  # called for a million lines
    user, item = _identifier(where, FIELDS[0], read(FIELDS[0])), _identifier(where, FIELDS[1], read(FIELDS[1]))
    time, value = _number(where, FIELDS[2], read(FIELDS[2])), _number(where, FIELDS[3], read(FIELDS[3]))
    if user is None and item is None:
        raise RequestError(f"{where}: found neither a user nor an item")
    passed = values.get(PASSED, ())
    if passed and (user is None or item is None):
        # those columns may have been meant to narrow the line down
        raise RequestError(
            f"{where}: asks for {'a whole item' if user is None else 'a whole user'}, but the file has columns that "
            f"were not read ({', '.join(passed)}); take them out of the file, or name user and item in each line"
        )
    if (user is None or item is None) and (time is not None or value is not None):
        told = [name for name, number in zip(FIELDS[2:], (time, value), strict=True) if number is not None]
        # taken literally it would forget a whole user or item, which its writer may not have meant
        raise RequestError(
            f"{where}: found a {' and a '.join(told)} without {'a user' if user is None else 'an item'}; expected both "
            f"user_id and item_id there, or for {'a whole item' if user is None else 'a whole user'} no {told[0]}"
        )
    return Demand(where, user, item, time, value, tuple(values.get(UNREAD, ())))


def named_demands(
    users: Iterable[object] = (), items: Iterable[object] = (), interactions: Iterable[Sequence[object]] = ()
) -> list[Demand]:
    """Demands given by name: users, items, and (user, item) or (user, item, time).

    Raises:
        RequestError: a string instead of a list, a blank name, or a time that is not a number.
    """
    out = [Demand(f"user {u}", user=_name("users", u)) for u in _list_of_names("users", users)]
    out += [Demand(f"item {i}", item=_name("items", i)) for i in _list_of_names("items", items)]
    for named in interactions:
        if isinstance(named, str) or len(named) not in (2, 3):
            raise RequestError(
                f"interactions: found {named!r}, expected (user, item) or (user, item, time); put names with colons or "
                "commas into a request file: --unlearn=FILE"
            )
        user, item = (_name("interactions", name) for name in named[:2])
        values = dict(zip(FIELDS, (user, item, *named[2:]), strict=False))
        out.append(make_demand(f"interaction {tuple(named)}", values))
    return out


def shortened(value: object) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}... ({len(text)} characters)"


def printable(text: str) -> str:
    """A name for display in a terminal: control characters are escaped, long names are cut."""
    if len(text) > LONGEST_NAMED:
        text = f"{text[:LONGEST_NAMED]}... ({len(text)} characters)"
    return text if text.isprintable() else repr(text)[1:-1]


def _list_of_names(what: str, names: Iterable[object]) -> Iterable[object]:
    # a string is a list of its characters: "12" would forget the users 1 and 2
    if isinstance(names, (str, bytes)):
        raise RequestError(f"{what}: found the string {names!r}, expected a list, e.g. [{names!r}]")
    return names


def _name(what: str, name: object) -> str:
    # an empty cell of pandas: NaN, which is not equal to itself, NA or NaT
    is_empty = type(name).__name__ in ("NAType", "NaTType") or (isinstance(name, (Real, Decimal)) and name != name)
    is_missing = name is None or is_empty
    if is_missing or not str(name).strip():
        raise RequestError(f"{what}: found {name!r}, expected a name")
    return _readable(what, "a name", str(name))


def _readable(where: str, name: str, text: str) -> str:
    """An id as is: surrounding blanks belong to it, as another id may differ only in them.

    Raises:
        RequestError: nothing but blanks, or half of a surrogate pair.
    """
    if text and not text.strip():
        raise RequestError(f"{where}: found {name} {text!r}, expected an id, or nothing at all")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise RequestError(
            f"{where}: found {name} {text!r}, which cannot be encoded as UTF-8; expected whole characters"
        ) from None
    return text


def _identifier(where: str, name: str, value: object) -> str | None:
    if value is None or value == "":
        return None
    if type(value) is str and value.isascii() and not value.isspace():
        return value
    if not isinstance(value, (str, int)) or isinstance(value, bool):
        raise RequestError(f"{where}: found {name} {shortened(value)}, expected a string or a whole number")
    return _readable(where, name, str(value)) or None


def _number(where: str, name: str, value: object) -> float | None:
    if value is None or value == "" or str(value).strip() == "":
        return None
    try:
        if isinstance(value, (bool, list, dict)) or "_" in str(value):
            raise ValueError
        number = float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RequestError(f"{where}: found the {name} {shortened(value)}, expected a number")
    return number
