"""Configuration for running APA with RecBole's programs (``run_recbole``, ``objective_function``, ``run_hyper.py``)."""

from collections.abc import Mapping, Sequence
from logging import getLogger

from recbole_apa.core.option_table import text_keys
from recbole_apa.core.yaml import parse_value
from recbole_apa.data.recbole_settings import OPTION_KEYS
from recbole_apa.pipeline.config import APAConfig
from recbole_apa.pipeline.option_names import RECBOLE_EXTRA, RUN_KEYS

OF_PROGRAMS = frozenset({"model", "config_files", "params_file", "output_file", "display_file", "tool"})
"""Arguments of ``run_recbole.py`` and ``run_hyper.py`` that are not model options."""


def config_of(
    dataset: str | None, files: Sequence[str], given: Mapping[str, object] | None, words: Mapping[str, str]
) -> APAConfig:
    """APA's configuration from the arguments of RecBole's ``Config``.

    Args:
        given: options; whole numbers may be floats, as hyperopt's ``quniform`` returns them.
        words: ``--key=value`` of the command line, which take precedence; those that are not options belong to the
            program.

    Raises:
        SettingsError: an option that is unknown, or of the wrong type.
    """
    options = {name: _whole(value) for name, value in (given or {}).items()}
    asked = dataset or words.get("dataset")
    bare = APAConfig("APA", asked, list(files), options)
    known = (set(bare.final_config_dict) | RUN_KEYS | RECBOLE_EXTRA | OPTION_KEYS) - OF_PROGRAMS
    plain = text_keys()
    ours = {name: text if name in plain else parse_value(text) for name, text in words.items() if name in known}
    others = sorted(set(words) - known - OF_PROGRAMS)
    if others:
        getLogger().warning(f"not options of APA, left to the program: --{', --'.join(others)}")
    return APAConfig("APA", asked, list(files), {**options, **ours}) if ours else bare


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value
