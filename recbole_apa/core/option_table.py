"""The single table of options: one row per field of the settings, and every list of names derived from it."""

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache

from recbole_apa.core.collaborative_settings import CollaborativeSettings
from recbole_apa.core.execution import ExecutionSettings, PlacementSettings
from recbole_apa.core.option import Option, Says, choices_of, facts_of, field_docs
from recbole_apa.core.settings import GROUPS, APASettings

DECIDING = (APASettings, *GROUPS.values())
"""Settings that decide what a run computes."""
EXECUTION = (ExecutionSettings, PlacementSettings)
"""Settings for where and how the work is done."""


@dataclass(frozen=True)
class Row:
    """One option."""

    name: str
    group: type
    """The dataclass that has the field."""
    hint: object
    """The field's type."""
    facts: Option

    @property
    def decides(self) -> bool:
        """Whether it decides what a run computes."""
        return self.group in DECIDING

    @property
    def choices(self) -> tuple[str, ...]:
        """The allowed texts, if its type is a ``Literal``."""
        return choices_of(self.hint)

    @property
    def is_text(self) -> bool:
        """Whether braces, colons and words in its value are taken literally, not as YAML."""
        return self.hint is str or typing.get_origin(self.hint) is typing.Literal or Says.VERBATIM in self.facts.says


def _rows() -> Iterator[Row]:
    for group in (*DECIDING, *EXECUTION):
        hints = typing.get_type_hints(group)
        for f in fields(group):
            if hints[f.name] not in (*DECIDING, *EXECUTION):  # a group within a group
                yield Row(f.name, group, hints[f.name], facts_of(f))


OPTIONS: Mapping[str, Row] = {row.name: row for row in _rows()}
"""Every option of the APA model, by name."""
SETTING_KEYS = frozenset(name for name, row in OPTIONS.items() if row.decides)
"""Options that decide what a run computes."""
EXECUTION_KEYS = frozenset(OPTIONS) - SETTING_KEYS
"""Options for where and how the work is done."""
LATER_OPTIONS: Mapping[str, object] = {
    name: list(since.before) if isinstance(since.before, tuple) else since.before
    for name, row in OPTIONS.items()
    if (since := row.facts.since) is not None
}
"""Options added after results in benchmarks/results/ were made, with the value that changes nothing."""


def names_that_say(says: Says) -> tuple[str, ...]:
    """The options for which some fact is declared, in table order."""
    return tuple(name for name, row in OPTIONS.items() if says in row.facts.says)


ACTIVATION_KEYS = names_that_say(Says.KEYS_ACTIVATIONS)
"""Options on which the frozen activations of a prompt depend."""


def text_keys() -> frozenset[str]:
    """Options whose values on the command line are taken literally."""
    return frozenset(name for name, row in OPTIONS.items() if row.is_text)


@cache
def docs() -> Mapping[str, str]:
    """What each option does, on one line: the docstring under its field."""
    groups = {group: field_docs(group) for group in (*DECIDING, *EXECUTION)}
    return {name: groups[row.group][name] for name, row in OPTIONS.items()}


ALWAYS_IDENTIFY = frozenset(
    {"quantization", "shared_prefixes", "adapter_type", "use_rslora", "feedforward_modules", "loraplus_lr_ratio"}
    | {"fused_shards", "evidence", "evidence_columns"}
)
"""Options that were added while runs had no identity yet: it names them whatever their values. No other joins them."""


def identifying(settings: APASettings) -> dict[str, object]:
    """What identifies a run: all options of its settings, without later ones while they have the values that change
    nothing, and without those of statistics that the run does not have."""
    told = settings.flat()
    unset = {name for name, value in LATER_OPTIONS.items() if name in told and told[name] == value} - ALWAYS_IDENTIFY
    unset |= set() if settings.collaborative.counts else {f.name for f in fields(CollaborativeSettings)}
    return {name: value for name, value in told.items() if name not in unset}
