"""``recbole-apa tune``: a search for options, from the command line."""

from recbole_apa.cli.arguments import Words, refuse_near_misses, take, values_of
from recbole_apa.cli.fields import tune_fields
from recbole_apa.cli.output import Output
from recbole_apa.cli.stages import STAGES, TuneOptions, names_of
from recbole_apa.core.errors import SettingsError
from recbole_apa.core.option_table import OPTIONS

_NOT_HERE = names_of(*STAGES) - names_of(TuneOptions) - OPTIONS.keys() | {"export_samples", "config_file_list"}
"""Options of other commands, and those that a search has its own way of."""


def serve(words: Words, out: Output) -> int:
    """Carry out a search, and tell the result.

    Raises:
        SettingsError: options that are rejected, or do not go with a search.
    """
    from recbole_apa.tuning import tune
    from recbole_apa.tuning.trials import BEST

    if not words:  # a search takes long: do not start one by mistake
        raise SettingsError("tune: found no option, expected e.g. tune --model=APA --dataset=ml-100k, or tune --help")
    wrong = sorted(_NOT_HERE & words.keys())
    if wrong:
        raise SettingsError(f"--{wrong[0]} does not go with tune: every trial trains from scratch, and none is kept")
    asked, rest = take(TuneOptions, words)
    refuse_near_misses(rest)
    done = tune(
        asked.model,
        asked.dataset,
        asked.files,
        ranges=asked.ranges,
        algo=asked.algo,
        max_evals=asked.max_evals,
        early_stop=asked.early_stop,
        folder=asked.tune_dir,
        config_dict=values_of(rest),
    )
    best_file = done.folder / BEST
    told = f"{done.table}\n\ntrials: {done.folder}; use the best options with --config_files={best_file}"
    out.tell(told, tune=lambda: tune_fields(done, best_file))
    return 0
