"""The entry point of the command line, which picks the command: ``recbole-apa --model=APA --dataset=ml-100k ...``."""

import sys
from collections.abc import Sequence

from recbole_apa.cli import compare, evaluate, keys, plan, train, tune
from recbole_apa.cli.arguments import Words, parse_arguments, read_words
from recbole_apa.cli.options_help import options_help
from recbole_apa.cli.usage import program, tune_usage, usage
from recbole_apa.core.errors import APAError
from recbole_apa.core.system.signals import STATUS, Terminated, terminable
from recbole_apa.core.system.streams import patient_streams
from recbole_apa.core.system.surroundings import explained, refuse_bytes

__all__ = ["main", "parse_arguments"]

_KEPT = "what was finished is kept in the run folder named above"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        the exit status: 0; 1 if an audit or a verification does not hold, or if a row of a comparison failed or one of
        its measures could not be taken; 2 if the input has to be fixed; 130 after Ctrl-C, 143 after SIGTERM. It does
        not depend on whether the printed text could be written.
    """
    with patient_streams():
        return _main(list(sys.argv[1:] if arguments is None else arguments))


def _main(given: list[str]) -> int:
    if not given or given[0] in ("-h", "--help"):
        print(usage(program()))
        return 0
    if given[0] == "tune" and {"-h", "--help"} & set(given[1:2]):
        print(tune_usage(program()))
        return 0
    try:
        with terminable():
            refuse_bytes(given)
            if given[0].startswith("--help="):
                print(options_help(given[0].partition("=")[2]))
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


def _dispatch(words: Words) -> int:
    for command in (keys, plan, compare):
        if command.is_asked(words):
            return command.serve(words)
    return evaluate.serve(words) if "run" in words else train.serve(words)
