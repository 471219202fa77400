"""``python run_recbole_apa.py --model=APA --dataset=ml-100k --key=value ...``, in RecBole's manner."""

import sys
import typing
from collections.abc import Sequence
from typing import Any

from recbole_apa.errors import APAError, SettingsError

USAGE = """usage: python run_recbole_apa.py --model=APA --dataset=ml-100k [--OPTION=VALUE ...]

  --model=NAME            APA, or any RecBole model
  --dataset=NAME          a RecBole dataset (ml-100k ships with RecBole); --data_path=DIR says where others lie
  --config_files="A B"    YAML files of options
  --run_dir=DIR           where the run goes (default: saved/APA-<dataset>-<time>); an interrupted one is finished
  --run=DIR               load a finished run and evaluate it again
  --export_samples=DIR    write what the model will see as JSON lines
  --protocol=tallrec      the paper's split and draws

Every option of properties/model/APA.yaml and of RecBole can be given as --OPTION=VALUE.
"""

_PLAIN_TEXT = frozenset({"model", "dataset", "config_files", "run", "run_dir", "export_samples", "data_path", "device"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        the exit status: 0, or 2 where the input has to be mended.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given or given[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    try:
        _dispatch(parse_arguments(given))
    except APAError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"RunError: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept in the run folder named above", file=sys.stderr)
        return 130
    return 0


def parse_arguments(arguments: Sequence[str]) -> dict[str, Any]:
    """``--key=value`` (or ``--key value``) pairs with values as YAML reads them; never evaluated.

    Raises:
        SettingsError: anything else, or a key given twice with different values.
    """
    out: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or len(word) < 3:
            raise SettingsError(f"found {word!r}, expected --option=value")
        key, equals, text = word[2:].partition("=")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise SettingsError(f"found {word!r} without a value, expected {word}=value")
            text = rest.pop(0)
        value = _value(key, text)
        if key in out and out[key] != value:
            raise SettingsError(f"--{key} is given twice: {out[key]!r} and {value!r}")
        out[key] = value
    return out


def _value(key: str, text: str) -> Any:
    from recbole_apa.recbole_bridge import parse_value

    return text if key in _PLAIN_TEXT | _text_settings() else parse_value(text)


def _text_settings() -> set[str]:
    """Settings that are texts: braces and colons in them are meant literally."""
    from recbole_apa import settings

    groups = [v for v in vars(settings).values() if isinstance(v, type) and v.__name__.endswith("Settings")]
    return {name for g in groups for name, hint in typing.get_type_hints(g).items() if hint is str}


def _dispatch(options: dict[str, Any]) -> None:
    from recbole_apa.quick_start import evaluate_run, run

    if "run" in options:
        evaluate_run(options.pop("run"), {k: v for k, v in options.items() if (k, v) != ("model", "APA")})
        return
    model, dataset = options.pop("model", "APA"), options.pop("dataset", "ml-100k")
    files = options.pop("config_files", "").split()
    run(model, dataset, files, options, run_dir=options.get("run_dir"))
