"""``--help=options`` and ``--help=NAME``: the options of the commands and the table of settings, for a terminal."""

import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, fields

from recbole_apa.cli.arguments import CLOSE
from recbole_apa.cli.stages import STAGES
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option import all_field_docs, facts_of
from recbole_apa.core.option_table import DECIDING, EXECUTION, OPTIONS, Row, docs
from recbole_apa.core.option_text import kind, shown
from recbole_apa.core.options import nearest
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml
from recbole_apa.evidence.exactness import DEFINITIONS


def options_help(name: str) -> str:
    """Every option of the commands and of APA, or one.

    Args:
        name: ``options``, or an option's name.

    Raises:
        SettingsError: no such option.
    """
    entries = [*_of_stages(), *_of_settings()]
    if name == "options":
        titles = dict.fromkeys(title for title, _, _ in entries)
        return "\n".join(
            "\n".join([title, *(text for other, _, text in entries if other == title), ""]) for title in titles
        )
    # a name that several commands have is explained once if it means the same
    found: dict[str, str] = {}
    for title, other, text in entries:
        if other == name:
            found.setdefault(text, title)
    if not found:
        raise SettingsError(_unknown(name, {other for _, other, _ in entries}))
    if len(found) > 1:
        return "\n".join(f"{title}\n{text}" for text, title in found.items())
    return next(iter(found))


def _unknown(name: str, names: set[str]) -> str:
    from recbole_apa.data.recbole_options import IDLE, RECBOLE_OPTIONS

    if not name:
        return "--help=: found no name, expected --help=options, or an option's name, e.g. --help=n_shards"
    if name in IDLE:
        return f"{name} is an option of RecBole's that has no effect with APA: {IDLE[name]}"
    if name in RECBOLE_OPTIONS:
        return f"{name} is an option of RecBole's; its documentation explains it"
    near = nearest(name, names, CLOSE)
    return f"unknown option {name!r}; " + (f"did you mean {near!r}?" if near else "--help=options lists ours")


def _of_stages() -> Iterator[tuple[str, str, str]]:
    """Title, name and text of each command's options."""
    for stage in STAGES:
        hints, texts = typing.get_type_hints(stage), all_field_docs(stage)
        for f in fields(stage):
            given = types.NoneType if f.default is MISSING else f.default
            default = "" if given in (None, "", False) else f"; default {shown(given)}"
            parts = tuple(part for part in typing.get_args(hints[f.name]) or (hints[f.name],) if part is not type(None))
            row = Row(f.name, stage, typing.Union[parts], facts_of(f))  # noqa: UP007  # of a tuple
            value = f"={row.facts.shown}" if row.facts.shown else ""
            text = _entry(f"--{f.name}{value}  ({kind(row)}{_bounds(row)}{default})", texts[f.name])
            if f.name == "exactness":
                text = "\n".join([text, *(_filled(f"{level}: {says}") for level, says in DEFINITIONS.items())])
            yield title_of(stage), f.name, text


def _of_settings() -> Iterator[tuple[str, str, str]]:
    """Title, name and text of each setting of APA."""
    from recbole_apa.data.recbole_settings import FROM_RECBOLE

    defaults = read_yaml(properties_folder() / "model" / "APA.yaml")
    names = {FROM_RECBOLE.get(own, own): row for own, row in OPTIONS.items()}
    for group in (*DECIDING, *EXECUTION):
        for given, row in names.items():
            if row.group is group:
                head = f"--{given}={shown(defaults[given])}  ({kind(row)}{_bounds(row)})"
                yield title_of(group), given, _entry(head, docs()[row.name])


def _bounds(row: Row) -> str:
    return f"; {row.facts.bounds.text(row.name)}" if row.facts.bounds else ""


def title_of(group: type) -> str:
    """The first line of a class's docstring."""
    return (group.__doc__ or "").strip().split("\n")[0].replace("``", "")


def _entry(head: str, text: str) -> str:
    return f"  {head}\n{_filled(text)}"


def _filled(text: str) -> str:
    return textwrap.fill(text.replace("``", ""), 118, initial_indent=" " * 6, subsequent_indent=" " * 6)
