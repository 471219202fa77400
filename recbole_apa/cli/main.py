"""The entry point of the command line, which picks the command: ``recbole-apa --model=APA --dataset=ml-100k ...``."""

import sys
import traceback
from collections.abc import Sequence

from recbole_apa.cli import compare, evaluate, keys, plan, train, tune
from recbole_apa.cli.arguments import Words, parse_arguments, read_words
from recbole_apa.cli.entry import version_text
from recbole_apa.cli.options_help import options_help
from recbole_apa.cli.usage import program, tune_usage, usage
from recbole_apa.core.errors import APAError
from recbole_apa.core.system.signals import STATUS, Terminated, terminable
from recbole_apa.core.system.streams import patient_streams
from recbole_apa.core.system.surroundings import explained, refuse_bytes

__all__ = ["main", "parse_arguments"]

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
    with patient_streams():
        try:
            return _main(list(sys.argv[1:] if arguments is None else arguments))
        except Exception:  # Python's own status would be 1, which means that a proof does not hold
            traceback.print_exc()
            return UNEXPECTED


def _main(given: list[str]) -> int:
    try:
        with terminable():
            refuse_bytes(given)
            told = _told(given)
            if told is not None:
                print(told)
                return 0
            if given[0] == "tune":
                return tune.serve(read_words(given[1:]))
            return _dispatch(read_words(given))
    except APAError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"RunError: {error}", file=sys.stderr)
        return 2
    except (RuntimeError, MemoryError, UnicodeEncodeError) as error:
        told = explained(error)
        if told is None:
            raise
        print(f"RunError: {told}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"interrupted; {_KEPT}", file=sys.stderr)
        return 130
    except Terminated:
        print(f"ended by SIGTERM; {_KEPT}", file=sys.stderr)
        return STATUS


def _told(given: Sequence[str]) -> str | None:
    """What is only to be printed; None if something is to be done."""
    if given == ["--version"]:
        return version_text()
    if not given or {"-h", "--help"} & set(given):
        return (tune_usage if given[:1] == ["tune"] else usage)(program())
    asked = [word.partition("=")[2] for word in given if word.startswith("--help=")]
    return "\n".join(options_help(name.lstrip("-")) for name in asked) if asked else None


def _dispatch(words: Words) -> int:
    for command in (keys, plan, compare):
        if command.is_asked(words):
            return command.serve(words)
    return evaluate.serve(words) if "run" in words else train.serve(words)
