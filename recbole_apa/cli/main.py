"""The entry point of the command line, which picks the command: ``recbole-apa --model=APA --dataset=ml-100k ...``."""

import sys
import traceback
from collections.abc import Sequence

from recbole_apa.cli import compare, evaluate, keys, next_items, plan, train, tune
from recbole_apa.cli.arguments import Words, parse_arguments, read_words, take
from recbole_apa.cli.entry import version_text
from recbole_apa.cli.options_help import options_help
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import OutputOptions
from recbole_apa.cli.usage import program, tune_usage, usage
from recbole_apa.core.errors import APAError, SettingsError
from recbole_apa.core.system.signals import STATUS, Terminated, terminable
from recbole_apa.core.system.streams import patient_streams
from recbole_apa.core.system.surroundings import explained, refuse_bytes

__all__ = ["main", "parse_arguments"]

REFUSED, INTERRUPTED = 2, 130
UNEXPECTED = 70
"""EX_SOFTWARE of sysexits.h: an error in this program."""
_KEPT = "what was finished is kept in the run folder, if the log above names one"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        the exit status: 0; 1 if an audit or a verification does not hold, or if a row of a comparison failed or one of
        its measures could not be taken; 2 if the input has to be fixed; 70 after an unexpected error, whose traceback
        is printed; 130 after Ctrl-C, 143 after SIGTERM. It does not depend on whether the printed text could be
        written.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    with patient_streams():
        out = Output(_is_json_asked(given))
        with out.alone():
            status = _status(given, out)
        out.finish(status)
        return status


def _status(given: list[str], out: Output) -> int:
    """Do what is asked; an error is told and becomes a status."""
    try:
        with terminable():
            return _do(given, out)
    except APAError as error:
        return _failed(out, REFUSED, type(error).__name__, str(error))
    except OSError as error:
        return _failed(out, REFUSED, "RunError", str(error))
    except KeyboardInterrupt:
        return _ended(out, INTERRUPTED, "KeyboardInterrupt", f"interrupted; {_KEPT}")
    except Terminated:
        return _ended(out, STATUS, "Terminated", f"ended by SIGTERM; {_KEPT}")
    except Exception as error:
        known = (RuntimeError, MemoryError, UnicodeEncodeError)
        told = explained(error) if isinstance(error, known) else None
        if told is not None:
            return _failed(out, REFUSED, "RunError", told)
        # Python's own status would be 1, which means that a proof does not hold
        out.fail(type(error).__name__, str(error), traceback.format_exc())
        return UNEXPECTED


def _failed(out: Output, status: int, name: str, message: str) -> int:
    out.fail(name, message)
    return status


def _ended(out: Output, status: int, name: str, message: str) -> int:
    out.fail(name, message, message)
    return status


def _do(given: list[str], out: Output) -> int:
    refuse_bytes(given)
    told = _told(given)
    if told is not None:
        print(told)
        return 0
    is_search = given[0] == "tune"
    _, words = take(OutputOptions, read_words(given[1:] if is_search else given))
    if is_search:
        return tune.serve(words, out)
    if not words:  # a training takes long: do not start one by mistake
        raise SettingsError("--json: found no command, expected e.g. --model=APA --dataset=ml-100k --json")
    return _dispatch(words, out)


def _is_json_asked(given: Sequence[str]) -> bool:
    """Whether ``--json`` is given, if only with a command line that is malformed otherwise. Help is text."""
    if any(word in ("-h", "--help", "--version") or word.startswith("--help=") for word in given):
        return False
    try:
        return take(OutputOptions, read_words(given[given[:1] == ["tune"] :]))[0].json
    except SettingsError:
        return "--json" in given


def _told(given: Sequence[str]) -> str | None:
    """What is only to be printed; None if something is to be done."""
    if given == ["--version"]:
        return version_text()
    if not given or {"-h", "--help"} & set(given):
        return (tune_usage if given[:1] == ["tune"] else usage)(program())
    asked = [word.partition("=")[2] for word in given if word.startswith("--help=")]
    return "\n".join(options_help(name.lstrip("-")) for name in asked) if asked else None


def _dispatch(words: Words, out: Output) -> int:
    for command in (keys, next_items, plan, compare):
        if command.is_asked(words):
            return command.serve(words, out)
    return evaluate.serve(words, out) if "run" in words else train.serve(words, out)
