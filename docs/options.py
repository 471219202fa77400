"""Writes the page of options, ``docs/options.md``, from the table of options: ``python -m docs.options``."""

import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from recbole_apa.core.option import Says
from recbole_apa.core.option_table import DECIDING, EXECUTION, OPTIONS, Row, docs
from recbole_apa.core.option_text import kind, shown
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml
from recbole_apa.data.recbole_options import IDLE
from recbole_apa.data.recbole_settings import FROM_RECBOLE

FIRST = "0.1.0"
PAGE = Path(__file__).parent / "options.md"
HEAD = """# Options

<!-- Written by `python -m docs.options` from recbole_apa/core; do not edit. A test holds the page against the code. -->

Every option can stand in a YAML file (`--config_files=FILE`), on the command line (`--NAME=VALUE`) or in `config_dict`
of `recbole_apa.run`. Defaults are those of `properties/model/APA.yaml`. RecBole's own options (`eval_args`, `metrics`,
`data_path`, ...) are given in the same way.

*Later* says whether the option may be another one when a finished run is opened (`--run=DIR`): the options that
decide what a run computes are the run's own, and only where things lie may have changed.
"""
_TITLES = ("Deciding what a run computes", "Where and how the work is done")


def page() -> str:
    """The whole page."""
    defaults = read_yaml(properties_folder() / "model" / "APA.yaml")
    parts = [HEAD]
    for title, groups in zip(_TITLES, (DECIDING, EXECUTION), strict=True):
        parts.append(f"## {title}\n")
        for group in groups:
            rows = [row for row in OPTIONS.values() if row.group is group]
            parts.append(f"### {_heading(group)}\n")
            parts += [_entry(row, defaults) for row in rows]
    parts.append(_idle())
    return "\n".join(parts)


def _heading(group: type) -> str:
    return (group.__doc__ or "").strip().split("\n")[0].rstrip(".").replace("``", "`")


def _entry(row: Row, defaults: Mapping[str, object]) -> str:
    given = FROM_RECBOLE.get(row.name, row.name)
    facts = [kind(row, "`"), f"default `{shown(defaults.get(given))}`"]
    if row.facts.bounds:
        facts.append(row.facts.bounds.text(row.name))
    later = "yes" if Says.MAY_CHANGE in row.facts.says else "no"
    facts.append(f"later: {later}")
    if row.facts.since and row.facts.since.version != FIRST:
        facts.append(f"since {row.facts.since.version}")
    if given != row.name:
        facts.append("in RecBole's form")
    text = f"**`{given}`** ({'; '.join(facts)}): " + docs()[row.name].replace("``", "`")
    return textwrap.fill(text, 118, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) + "\n"


def _idle() -> str:
    lines = [f"- `{name}`: {why}" for name, why in IDLE.items()]
    says = (
        "## Options of RecBole's without effect\n\nWhere one of them is given, APA says so in one line of the log.\n\n"
    )
    return says + "\n".join(lines) + "\n"


def main() -> int:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
