"""What training, a request and a prediction cost, and a request's seconds beside two ways of training again."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from recbole_apa.comparison.row import DONE, KINDS, REFERENCE, UNLEARN_SECONDS, Row

ONE_MODEL, ALL_ANEW = "one model / request", "all anew / request"
LEARNT = ("labels", "user unseen")
COSTS = (
    *LEARNT,
    "train s",
    "unlearn s",
    "shards hit",
    ONE_MODEL,
    ALL_ANEW,
    "ms/sample",
    "passes",
    "peak MiB",
    "parameters",
)
MEANT = (
    f"unlearn s: one interaction is forgotten, with shards one that as few as possible of them have seen. {ONE_MODEL}: "
    f"the seconds of retraining the single model on what remains ({REFERENCE}'s unlearn s; the paper's reference) "
    f"divided by unlearn s. {ALL_ANEW}: the row's own train s, retraining everything that it holds, divided by it. "
    "-: no request was timed."
)
LEAST_SECONDS = 0.05
_BLOCKS = {
    "all": "all rows of the training period",
    "shown": "the rows of the training period that training and validation prompts show",
    "drawn": "the targets of the training samples alone",
}
DRAWN = "Requests drawn by hash: interaction / user / item"
DRAWN_MEANT = (
    "Means over {n} requests of each kind (interactions and items that the training prompts show, users who have "
    "training samples), all of them or 1,000 drawn by hash. Shards hit are counted; seconds are estimated by those of "
    "this training: its seconds a sample times the samples of these shards, from the first slice of each that a "
    "request reaches, and the shards' share of the memory. Both ratios as above."
)
DRAWN_FURTHER = (
    "{rows}: the same requests, each with the seconds of counting and fitting anew besides; what only its sums count, "
    "and no training prompt shows, costs those seconds alone, and a single model nothing."
)


def learnt_note(baseline_data: str) -> str:
    """What the columns of :data:`LEARNT` say.

    Args:
        baseline_data: what RecBole's models learnt from.
    """
    return (
        "labels: interactions whose labels a row learnt from, each once; RecBole's models learn from "
        f"{_BLOCKS[baseline_data]} (--baseline_data={baseline_data}), those that learn from likes from the liked ones. "
        "user unseen: test samples of users who are not among them, where scores depend on who the user is."
    )


def stopping_note(rows: Sequence[Row]) -> str:
    """By how many labels RecBole's models chose their epoch; empty if no row says."""
    named: dict[int, list[str]] = {}
    for row in rows:
        n = row.figures.get("n_stopping_labels")
        if n is not None and row.method not in named.setdefault(round(n), []):
            named[round(n)].append(row.method)
    if not named:
        return ""
    told = ", ".join(f"{n:,} ({', '.join(methods)})" for n, methods in sorted(named.items(), reverse=True))
    return f"Epochs of RecBole's models are chosen by the AUC on labelled rows of the validation split: {told}."


def single_model_seconds(rows: Sequence[Row]) -> float | None:
    """Seconds of training one adapter on all kept samples: the reference's, after an interaction was forgotten, mean
    over seeds; None if there is no such row."""
    found = [row for row in rows if row.method == REFERENCE and row.status == DONE]
    return _mean(found, UNLEARN_SECONDS) if found and _are_timed(found) else None


def cost_cells(rows: Sequence[Row], one_model: float | None) -> list[str]:
    """The cells under :data:`COSTS` of one method's rows, means over seeds.

    Args:
        one_model: seconds of :func:`single_model_seconds`.
    """
    mean = partial(_mean, rows)
    return [
        *_learnt(rows),
        f"{mean('train_seconds'):.1f}",
        *(_request_cells(rows, one_model) if _are_timed(rows) else ["-", "-", "", ""]),
        f"{mean('inference_ms_per_sample'):.2f}",
        f"{mean('forward_passes'):.0f}",
        f"{mean('peak_memory_bytes') / 2**20:.0f}",
        _parameters(rows),
    ]


def _are_timed(rows: Sequence[Row]) -> bool:
    """Whether the request of each of them was timed."""
    return all(UNLEARN_SECONDS in row.figures for row in rows)


def _request_cells(rows: Sequence[Row], one_model: float | None) -> list[str]:
    mean = partial(_mean, rows)
    unlearn = mean(UNLEARN_SECONDS)
    return [
        f"{unlearn:.1f}",
        f"{mean('unlearn_shards_hit'):.1f} of {mean('n_shards'):.0f}",
        # other models are not the single adapter with fewer samples
        _ratio(one_model if mean("n_shards") > 1 else None, unlearn),
        _ratio(mean("train_seconds"), unlearn),
    ]


def _parameters(rows: Sequence[Row]) -> str:
    """Older rows count the dummy of a model without parameters as one."""
    found = [n for row in rows if (n := row.figures.get("n_parameters", 1)) != 1]
    return f"{np.mean(found):,.0f}" if found else "-"


def _learnt(rows: Sequence[Row]) -> list[str]:
    """Labels learnt from, and test samples of users not among them; rows of older versions may say neither."""
    n, unseen = ([row.figures[key] for row in rows if key in row.figures] for key in ("n_labels", "n_users_unseen"))
    told = f"{np.mean(unseen):.0f} of {len(rows[0].scores)}" if unseen else ""
    return [f"{np.mean(n):,.0f}" if n else "-", told]


def drawn_table(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]] | None:
    """Header and lines of the requests drawn by hash, one line per method with shards; None if no row has any."""
    done = [row for row in rows if row.status == DONE and f"drawn_{KINDS[0]}_seconds" in row.figures]
    one_model, lines = single_model_seconds(rows), []
    for name in dict.fromkeys(row.method for row in done):
        found = [row for row in done if row.method == name]
        seconds = [_mean(found, f"drawn_{kind}_seconds") for kind in KINDS]
        lines.append(
            [
                name,
                f"{_drawn(found, 'shards_hit')} of {_mean(found, 'n_shards'):.0f}{_again(found)}",
                " / ".join(f"{s:.1f}" for s in seconds),
                " / ".join(_ratio(one_model, s) or "-" for s in seconds),
                " / ".join(_ratio(_mean(found, "train_seconds"), s) or "-" for s in seconds),
            ]
        )
    return (["method", "shards hit", "request s", ONE_MODEL, ALL_ANEW], lines) if lines else None


def _drawn(rows: Sequence[Row], what: str) -> str:
    return " / ".join(f"{_mean(rows, f'drawn_{kind}_{what}'):.2f}" for kind in KINDS)


def _again(rows: Sequence[Row]) -> str:
    """What of the shards hit is trained again, where that is not all of them; rows of older versions do not say."""
    of_kinds = [(row.figures, f"drawn_{kind}_shards") for row in rows for kind in KINDS]
    pairs = [(found.get(f"{key}_again"), found[f"{key}_hit"]) for found, key in of_kinds]
    if any(again is None for again, _ in pairs) or all(again == hit for again, hit in pairs):
        return ""
    return f", {_drawn(rows, 'shards_again')} trained again"


def drawn_note(rows: Sequence[Row]) -> str:
    """What the table of drawn requests says."""
    numbers = {round(n) for row in rows for kind in KINDS if (n := row.figures.get(f"drawn_{kind}")) is not None}
    least, most = min(numbers, default=0), max(numbers, default=0)
    told = DRAWN_MEANT.format(n=str(most) if least == most else f"{least} to {most}")
    with_more = list(dict.fromkeys(row.method for row in rows if "drawn_further_seconds" in row.figures))
    return f"{told} {DRAWN_FURTHER.format(rows=', '.join(with_more))}" if with_more else told


def _mean(rows: Sequence[Row], key: str) -> float:
    return float(np.mean([row.figures[key] for row in rows]))


def _ratio(seconds: float | None, request: float) -> str:
    """Empty where the table prints one of them as 0.0: it would be a ratio of errors of measuring."""
    return f"{seconds / request:.2f}" if seconds and min(seconds, request) >= LEAST_SECONDS else ""
