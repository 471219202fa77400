"""The one table of options: a row for each field of the settings, and every list of names that is derived from it."""

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache

from recbole_apa.core.execution import ExecutionSettings, PlacementSettings
from recbole_apa.core.option import Option, Says, choices_of, facts_of, field_docs
from recbole_apa.core.settings import GROUPS, APASettings

DECIDING = (APASettings, *GROUPS.values())
"""Settings that decide what a run computes."""
EXECUTION = (ExecutionSettings, PlacementSettings)
"""Settings that say where and how."""


@dataclass(frozen=True)
class Row:
    """One option."""

    name: str
    group: type
    """The dataclass whose field it is."""
    hint: object
    """The field's type."""
    facts: Option

    @property
    def decides(self) -> bool:
        """Whether it decides what a run computes."""
        return self.group in DECIDING

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that are allowed, where its type is a ``Literal``."""
        return choices_of(self.hint)

    @property
    def is_text(self) -> bool:
        """Whether braces, colons and words in its value are meant as they stand, and not as YAML."""
        return self.hint is str or typing.get_origin(self.hint) is typing.Literal or Says.VERBATIM in self.facts.says


def _rows() -> Iterator[Row]:
    for group in (*DECIDING, *EXECUTION):
        hints = typing.get_type_hints(group)
        for f in fields(group):
            if hints[f.name] not in (*DECIDING, *EXECUTION):  # a group within a group
                yield Row(f.name, group, hints[f.name], facts_of(f))


OPTIONS: Mapping[str, Row] = {row.name: row for row in _rows()}
"""Every option of the model APA, by its name."""
SETTING_KEYS = frozenset(name for name, row in OPTIONS.items() if row.decides)
"""Options that decide what a run computes."""
EXECUTION_KEYS = frozenset(OPTIONS) - SETTING_KEYS
"""Options that say where and how."""
LATER_OPTIONS: Mapping[str, object] = {
    name: list(since.before) if isinstance(since.before, tuple) else since.before
    for name, row in OPTIONS.items()
    if (since := row.facts.since) is not None
}
"""Options that did not exist when results in benchmarks/results/ were made, with the value that changes nothing."""


def names_that_say(says: Says) -> tuple[str, ...]:
    """The options of which something is said, in the order of the table."""
    return tuple(name for name, row in OPTIONS.items() if says in row.facts.says)


ACTIVATION_KEYS = names_that_say(Says.KEYS_ACTIVATIONS)
"""Options on which the frozen activations of a prompt depend."""


def text_keys() -> frozenset[str]:
    """Options whose values on a command line are texts as they stand."""
    return frozenset(name for name, row in OPTIONS.items() if row.is_text)


@cache
def docs() -> Mapping[str, str]:
    """What each option does, in one line: the docstring under its field."""
    groups = {group: field_docs(group) for group in (*DECIDING, *EXECUTION)}
    return {name: groups[row.group][name] for name, row in OPTIONS.items()}
