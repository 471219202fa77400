"""The fields that docs/json.md describes, and whether an object has others."""

import re
from collections.abc import Iterator

from tests.helpers.places import ROOT

_ROW = re.compile(r"^\| `([^`]+)` \| ([^|]+) \|", re.MULTILINE)
_PLANS = ("unlearn.plan", "unlearn.outcomes[].plan")
_KINDS = {
    "text": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "whole number": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "true": lambda value: value is True,
    "false": lambda value: value is False,
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
    "any": lambda value: True,
}


def documented() -> dict[str, list[str]]:
    """Field -> its types."""
    rows = _ROW.findall((ROOT / "docs" / "json.md").read_text(encoding="utf-8"))
    assert len(rows) == len({name for name, _ in rows}), "a field is described twice"
    out = {}
    for name, kinds in rows:
        places = [place + name.removeprefix("plan") for place in _PLANS] if name.startswith("plan.") else [name]
        out |= {place: kinds.strip().split(" or ") for place in places}
    return out


def fields_of(value: object, fields: dict[str, list[str]], place: str = "") -> Iterator[str]:
    """The documented fields that an object has, an empty list's included.

    Raises:
        AssertionError: it has one that is not documented, or a value of another type.
    """
    if place in fields:
        kinds = fields[place]
        assert any(_KINDS[kind](value) for kind in kinds), (place, kinds, value)
        yield place
    if isinstance(value, dict) and fields.get(place) != ["any"]:
        for key, part in value.items():
            yield from fields_of(part, fields, _named(place, key, fields))
    elif isinstance(value, list) and fields.get(place) != ["any"]:
        inside = f"{place}[]"
        assert _is_known(inside, fields), inside
        for part in value:
            yield from fields_of(part, fields, inside)
    else:
        assert place in fields, (place, value)


def _named(place: str, key: str, fields: dict[str, list[str]]) -> str:
    """The field's own name, or the one inside ``<>`` that stands for any key."""
    start = f"{place}." if place else ""
    if _is_known(start + key, fields):
        return start + key
    for name in fields:
        found = re.match(re.escape(start) + r"<\w+>", name)
        if found:
            return found[0]
    raise AssertionError(f"{start}{key} is not documented")


def _is_known(place: str, fields: dict[str, list[str]]) -> bool:
    """Whether it is a documented field, or holds some."""
    return any(name == place or name.startswith((f"{place}.", f"{place}[")) for name in fields)
