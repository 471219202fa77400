"""``recbole-apa tune``: a search for options, from the command line."""

from recbole_apa.cli.arguments import Words, take, values_of
from recbole_apa.cli.stages import TuneOptions
from recbole_apa.core.errors import SettingsError

_NOT_HERE = ("run", "run_dir", "export_samples", "copy_to", "config_file_list", "unlearn", "compare")


def serve(words: Words) -> int:
    """Carry out a search, and print the result.

    Raises:
        SettingsError: options that are rejected, or do not go with a search.
    """
    from recbole_apa.data.recbole_checks import is_whole
    from recbole_apa.tuning import tune
    from recbole_apa.tuning.trials import BEST

    if not words:  # a search takes long: do not start one by mistake
        raise SettingsError("tune: found no option, expected e.g. tune --model=APA --dataset=ml-100k, or tune --help")
    wrong = [name for name in _NOT_HERE if name in words]
    if wrong:
        raise SettingsError(f"--{wrong[0]} does not go with tune: every trial trains from scratch, and none is kept")
    asked, rest = take(TuneOptions, words)
    if not isinstance(asked.ranges, (str, dict, type(None))):
        raise SettingsError(f"--ranges: found {asked.ranges!r}, expected a file, e.g. --ranges=ranges.yaml")
    if asked.early_stop is not None and not is_whole(asked.early_stop, 1):
        raise SettingsError(f"--early_stop: found {asked.early_stop!r}, expected a whole number of at least 1")
    done = tune(
        asked.model,
        asked.dataset,
        asked.files,
        ranges=asked.ranges,
        algo=asked.algo,
        max_evals=asked.max_evals,  # type: ignore[arg-type]
        early_stop=asked.early_stop,
        folder=asked.tune_dir,
        config_dict=values_of(rest),
    )
    print(f"{done.table}\n\ntrials: {done.folder}; use the best options with --config_files={done.folder / BEST}")
    return 0
