"""``--help=options`` and ``--help=NAME``: the table of options, for a terminal."""

import textwrap

from recbole_apa.core.option_table import DECIDING, EXECUTION, OPTIONS, Row, docs
from recbole_apa.core.option_text import kind, shown
from recbole_apa.core.options import refuse_unknown
from recbole_apa.core.properties import properties_folder
from recbole_apa.core.yaml import read_yaml


def options_help(name: str) -> str:
    """Every option of APA, or one.

    Args:
        name: ``options``, or an option's name.

    Raises:
        SettingsError: no such option.
    """
    from recbole_apa.data.recbole_settings import FROM_RECBOLE

    names = {FROM_RECBOLE.get(own, own): row for own, row in OPTIONS.items()}
    defaults = read_yaml(properties_folder() / "model" / "APA.yaml")
    if name != "options":
        refuse_unknown([name], names)
        return _entry(name, names[name], defaults[name])
    lines = []
    for group in (*DECIDING, *EXECUTION):
        lines.append((group.__doc__ or "").strip().split("\n")[0].replace("``", ""))
        lines += [_entry(given, row, defaults[given]) for given, row in names.items() if row.group is group]
        lines.append("")
    return "\n".join(lines)


def _entry(given: str, row: Row, default: object) -> str:
    bounds = f"; {row.facts.bounds.text(row.name)}" if row.facts.bounds else ""
    head = f"  --{given}={shown(default)}  ({kind(row)}{bounds})"
    text = docs()[row.name].replace("``", "")
    return head + "\n" + textwrap.fill(text, 118, initial_indent=" " * 6, subsequent_indent=" " * 6)
