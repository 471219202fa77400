"""``recbole-apa tune``: a search for options, from the command line."""

from typing import Any

from recbole_apa.core.errors import SettingsError

PLAIN_TEXT = frozenset({"algo", "tune_dir"})
"""Options whose values are texts as they stand."""
_NOT_HERE = ("run", "run_dir", "export_samples", "copy_to", "config_file_list", "unlearn", "compare")
USAGE = """usage: python run_recbole_apa.py tune --model=APA --dataset=ml-100k [--OPTION=VALUE ...]

Tries options, trains with each on the same data and seed, and chooses by the validation samples alone.

  --ranges=FILE           what is tried: YAML such as `learning_rate: {log_between: [0.0005, 0.01]}`, or a file of
                          RecBole's run_hyper.py; for APA properties/tuning/APA.yaml where it is left out
  --algo=bayes            bayes, random (both need hyperopt: pip install ".[tune]"), or exhaustive: every point
  --max_evals=10          how many trials; --early_stop=5 ends after so many in a row without a better one
  --tune_dir=DIR          where trials.json and best.yaml go (default: saved/tune-<model>-<dataset>-<time>)
  --model, --dataset, --config_files, --OPTION=VALUE      what all trials share

Then: python run_recbole_apa.py --model=APA --dataset=ml-100k --config_files=DIR/best.yaml
"""


def serve_tune(options: dict[str, Any]) -> str:
    """Carry out a search.

    Returns:
        what is to be printed.

    Raises:
        SettingsError: options that are refused, or do not go with a search.
    """
    from recbole_apa.data.recbole_checks import is_whole
    from recbole_apa.tuning import tune
    from recbole_apa.tuning.trials import BEST

    if not options:  # a search takes long: not by mistake
        raise SettingsError("tune: found no option, expected e.g. tune --model=APA --dataset=ml-100k, or tune --help")
    wrong = [name for name in _NOT_HERE if name in options]
    if wrong:
        raise SettingsError(f"--{wrong[0]} does not go with tune: every trial is trained anew, and none is kept")
    ranges = options.pop("ranges", None)
    if not isinstance(ranges, (str, dict, type(None))):
        raise SettingsError(f"--ranges: found {ranges!r}, expected a file, e.g. --ranges=ranges.yaml")
    early_stop = options.pop("early_stop", None)
    if early_stop is not None and not is_whole(early_stop, 1):
        raise SettingsError(f"--early_stop: found {early_stop!r}, expected a whole number of at least 1")
    done = tune(
        options.pop("model", "APA"),
        options.pop("dataset", "ml-100k"),
        options.pop("config_files", "").split(),
        ranges=ranges,
        algo=options.pop("algo", "bayes"),
        max_evals=options.pop("max_evals", None),
        early_stop=early_stop,
        folder=options.pop("tune_dir", None),
        config_dict=options,
    )
    return f"{done.table}\n\ntrials: {done.folder}; use the best options with --config_files={done.folder / BEST}"
