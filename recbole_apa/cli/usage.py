"""What ``--help`` prints, with the name that the program was called by."""

import sys
import textwrap
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path

from recbole_apa.cli.options_help import title_of
from recbole_apa.cli.stages import STAGES, OutputOptions, RunOptions, TrainOptions, TuneOptions
from recbole_apa.core.arguments import PlaceArguments, RunArguments
from recbole_apa.core.option import all_field_docs, facts_of
from recbole_apa.core.option_table import docs
from recbole_apa.evidence.exactness import DEFINITIONS

_WIDTH, _COLUMN = 118, 26
_SETTINGS = {"plugins": "MODULE", "export_samples": "DIR", "log_dir": "DIR", "protocol": "tallrec"}
"""Settings that the page shows, with an example of a value."""
_ELSEWHERE = frozenset(f.name for f in fields(RunArguments)) | {"model", "dataset"}
"""Options that several commands have: listed once, at the top."""
_FIRST = (TrainOptions, PlaceArguments, RunOptions, OutputOptions)
"""Stages whose options stand at the top, without a title."""
_END = """A search for options, judged by the validation samples alone:
  tune --help             its options

Every option of properties/model/APA.yaml and of RecBole can be given as --OPTION=VALUE: --help=options lists ours,
--help=NAME explains one. --version prints the versions of this package, Python and torch.
"""


def usage(called: str) -> str:
    """The stages and their options.

    Args:
        called: the program's name.
    """
    parts = [f"usage: {called} --model=APA --dataset=ml-100k [--OPTION=VALUE ...]\n"]
    first = [line for stage in _FIRST for line in _lines(stage, ())]
    parts.append("\n".join([*first, *(_line(f"{name}={value}", docs()[name]) for name, value in _SETTINGS.items())]))
    for stage in (stage for stage in STAGES if stage not in (*_FIRST, TuneOptions)):
        parts.append("\n" + "\n".join([*_title(stage), *_lines(stage, _ELSEWHERE)]))
    return "\n".join([*parts, "\n" + _END])


def tune_usage(called: str) -> str:
    """As :func:`usage`, of ``tune``."""
    return f"""usage: {called} tune --model=APA --dataset=ml-100k [--OPTION=VALUE ...]

Tries options, trains with each on the same data and seed, and chooses by the validation samples alone.

{chr(10).join([*_lines(TuneOptions, ()), *_lines(OutputOptions, ())])}
  --OPTION=VALUE          what all trials share

Then: {called} --model=APA --dataset=ml-100k --config_files=DIR/best.yaml
"""


def _title(stage: type) -> list[str]:
    return textwrap.wrap(title_of(stage).rstrip(".:") + ":", _WIDTH)


def _lines(stage: type, without: Iterable[str]) -> list[str]:
    """One entry for each option of a stage; under ``exactness``, its levels as the certificate defines them."""
    out, texts = [], all_field_docs(stage)
    for f in fields(stage):
        if f.name not in without:
            value = facts_of(f).shown
            out.append(_line(f"{f.name}={value}" if value else f.name, texts[f.name]))
        if f.name == "exactness":
            out += [_line(f"exactness={level}", text) for level, text in DEFINITIONS.items()]
    return out


def _line(option: str, text: str) -> str:
    head = f"  --{option}"
    told = _filled(text.replace("``", ""), _COLUMN)
    return f"{head:<{_COLUMN}}{told}" if len(head) < _COLUMN else f"{head}\n{' ' * _COLUMN}{told}"


def _filled(text: str, indent: int) -> str:
    return textwrap.fill(text, _WIDTH - indent, break_on_hyphens=False).replace("\n", "\n" + " " * indent)


def program() -> str:
    """How this program was called: as the installed command, the module, or a checkout's script."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py" and called.parent.name == "recbole_apa":
        return "python -m recbole_apa"
    return f"python {called.name}" if called.name == "run_recbole_apa.py" else "recbole-apa"
