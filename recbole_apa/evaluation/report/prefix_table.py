"""The table of figures by slices served, made from those in ``metrics.json``."""

from collections.abc import Mapping

from tabulate import tabulate

from recbole_apa.evaluation.prefix_figures import MODEL, N_TRAINED, PREFIXES, SERVED
from recbole_apa.evaluation.scored_split import BY_USERS

PREFIX_HEADERS = (
    "slices served",
    "training samples",
    "test AUC, served",
    "AUC beside all slices",
    "LogLoss, served",
    "AUC, APA alone",
    "LogLoss, APA alone",
)
PREFIX_TITLE = "If all shards served their first slices alone"


def prefix_rows(figures: Mapping[str, float]) -> list[list[str]]:
    """A row for each number of slices, under :data:`PREFIX_HEADERS`; none if the figures were not asked for."""
    numbers = sorted({name.split(".")[1] for name in figures if name.startswith(f"{PREFIXES}.")}, key=int)
    return [_row(figures, number) for number in numbers]


def prefix_table(figures: Mapping[str, float]) -> str:
    """For a terminal; empty if the figures were not asked for."""
    rows = prefix_rows(figures)
    return f"{PREFIX_TITLE}:\n{tabulate(rows, PREFIX_HEADERS, disable_numparse=True)}" if rows else ""


def _row(figures: Mapping[str, float], number: str) -> list[str]:
    key = f"{PREFIXES}.{number}"
    served = [figures.get(f"{key}.{SERVED}.{name}") for name in ("auc", "logloss")]
    model = [figures.get(f"{key}.{MODEL}.{name}") for name in ("auc", "logloss")]
    n_trained = f"{figures[f'{key}.{N_TRAINED}']:.0f}"
    told = [_number(served[0]), _gain(figures, f"{key}.{SERVED}.auc_gain"), _number(served[1])]
    return [str(int(number)), n_trained, *told, *map(_number, model)]


def _gain(figures: Mapping[str, float], key: str) -> str:
    """A difference with its interval; nothing for all slices."""
    if key not in figures:
        return "-"
    by = BY_USERS if f"{key}{BY_USERS}_low" in figures else ""
    low, high = figures.get(f"{key}{by}_low"), figures.get(f"{key}{by}_high")
    return f"{figures[key]:+.4f}" + ("" if low is None or high is None else f" ({low:+.4f} to {high:+.4f})")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
