"""What `semantic_user` and slices cost in AUC: runs with and without them on the same draws, scored on the same rows.

    python -m benchmarks.slices_quality --draws=1,2,3 --rows=2000 --folder=benchmarks/results/slices-quality
    python -m benchmarks.slices_quality --small --folder=DIR

Runs of ml-100k, for each draw one with `partition: semantic, shard_slices: 1` (the paper's) and one with
`semantic_user` and eight slices (the defaults); both are scored on up to `--rows` test rows of the draw (0: all of
them, the same for every draw). Each training goes to a file of the folder when it ends, and what is there is not
trained again; nor are prompts read again, whose frozen passes the folder keeps (benchmarks/kept_passes.py). Differences
are paired, with 95 % intervals over users; "all draws" is the mean over the draws, whose users are resampled together.
The second table has the figures of either way, means over the draws that are there.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.command import begin, command, or_nan
from benchmarks.kept_passes import trained_run
from benchmarks.protocol import commit
from recbole_apa.collaborative import ALONE, BOTH, MODEL
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.evaluation.metrics import auc, interval, mean_log_loss, resampled_aucs, uauc, user_numbers

WAYS: dict[str, dict[str, Any]] = {
    "before": {"partition": "semantic", "shard_slices": 1},
    "slices": {"partition": "semantic_user", "shard_slices": 8},
}
BASE: dict[str, Any] = {"variants": "none", "baselines": [], "show_progress": False}
SMALL: dict[str, Any] = {"train_samples": 16, "valid_samples": 16, "n_shards": 2, "MAX_ITEM_LIST_LENGTH": 3}
SERVED, RESAMPLES = "served", 2000
KINDS = (MODEL, ALONE, BOTH, SERVED)
Record = Mapping[str, Any]


def trained(given: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The scores of one run's test samples, and who they are of.

    Args:
        given: APA's options.
        folder: keeps the frozen passes of the prompts.
    """
    start, measured_on = time.process_time(), commit()
    with trained_run("ml-100k", given, folder) as made:
        part, how = made.data.test_set, made.model.settings.aggregation.aggregation
        weights = made.model.weights(made.model.prompts_of(part))
        alone = made.trainer.aggregate(part, weights, how, "Score", False).numpy()
        combined = made.trainer.combined
        assert combined
        scores = combined.scores_of(part, alone)
    return {
        "options": dict(given),
        "commit": measured_on,
        "machine": machine_kind("cpu").text(),
        "processor_seconds": round(time.process_time() - start),
        "samples": [sample.sample_id for sample in part.samples],
        "users": [sample.user_id for sample in part.samples],
        "labels": [int(sample.label) for sample in part.samples],
        SERVED: combined.served,
        "scores": {name: np.round(found.astype(np.float64), 6).tolist() for name, found in scores.items()},
    }


def scores_in(record: Record, kind: str) -> np.ndarray:
    """A record's scores of one kind, or of what its run serves."""
    return np.array(record["scores"][record[SERVED] if kind == SERVED else kind])


def lines_of(pairs: Mapping[int, Mapping[str, Record]]) -> list[list[str]]:
    """The table: for each draw and for all, AUC of both ways and the difference, for each kind of score.

    Raises:
        ValueError: the two runs of a draw were scored on different rows.
    """
    everyone = sorted({user for pair in pairs.values() for user in pair["before"]["users"]})
    number, lines = {user: i for i, user in enumerate(everyone)}, []
    for kind in KINDS:
        found, drawn = [], []
        for draw, pair in pairs.items():
            if pair["before"]["samples"] != pair["slices"]["samples"]:
                raise ValueError(f"draw {draw}: the two runs were scored on different rows; delete one of its files")
            labels = np.array(pair["before"]["labels"])
            users = np.array([number[user] for user in pair["before"]["users"]])
            scores = {way: scores_in(pair[way], kind) for way in WAYS}
            found.append([or_nan(auc(labels, scores[way])) for way in WAYS])
            resampled = resampled_aucs(labels, scores, RESAMPLES, 0, users, len(everyone))
            drawn.append(resampled["slices"] - resampled["before"])
            lines.append(line_of(f"{draw}", kind, len(labels), found[-1], drawn[-1]))
        if len(found) > 1:
            n_rows = sum(len(pair["before"]["labels"]) for pair in pairs.values())
            lines.append(line_of("all draws", kind, n_rows, np.mean(found, axis=0), np.mean(drawn, axis=0)))
    return lines


def figures_of(pairs: Mapping[int, Mapping[str, Record]]) -> list[list[str]]:
    """The second table: AUC, LogLoss and AUC within users for each way and kind of score, means over the draws."""
    lines = []
    for way in WAYS:
        for kind in KINDS:
            each = [judged(pair[way], kind) for pair in pairs.values() if way in pair]
            if each:
                lines.append([way, kind, f"{len(each)}", *(f"{value:.4f}" for value in np.mean(each, axis=0))])
    return lines


def judged(record: Record, kind: str) -> tuple[float, float, float]:
    labels, scores, users = np.array(record["labels"]), scores_in(record, kind), user_numbers(record["users"])
    return or_nan(auc(labels, scores)), mean_log_loss(labels, scores), or_nan(uauc(labels, scores, users))


def line_of(draw: str, kind: str, n_rows: int, both: Sequence[float], drawn: np.ndarray) -> list[str]:
    low, high = interval(drawn)
    minus = f"{both[1] - both[0]:+.4f} ({low:+.4f} to {high:+.4f})"
    return [draw, kind, f"{n_rows:,}", f"{both[0]:.4f}", f"{both[1]:.4f}", minus]


def kept_records(folder: Path) -> dict[int, dict[str, Record]]:
    """Draw -> way -> record, of what the folder has."""
    out: dict[int, dict[str, Record]] = {}
    for path in sorted(folder.glob("*-*.json")):
        draw, way = path.stem.split("-")
        out.setdefault(int(draw), {})[way] = read_json(path)
    return dict(sorted(out.items()))


def kept_pairs(folder: Path) -> dict[int, dict[str, Record]]:
    """Those of the draws that are complete."""
    return {draw: pair for draw, pair in kept_records(folder).items() if pair.keys() == WAYS.keys()}


def parser() -> argparse.ArgumentParser:
    out = command(__doc__)
    out.add_argument("--folder", type=Path, required=True, help="holds a file for each training")
    out.add_argument("--draws", default="1,2,3")
    out.add_argument("--rows", type=int, default=0, help="test rows of a draw; 0: all")
    return out


def refuse_others(path: Path, given: Mapping[str, Any]) -> None:
    """Refuse to count a training of other options among these.

    Raises:
        SystemExit: the file is of other options.
    """
    found = read_json(path)["options"]
    if found != given:
        raise SystemExit(f"{path} is of {found}; expected {given}: give another --folder")


def main() -> None:
    given = begin(parser())
    given.folder.mkdir(parents=True, exist_ok=True)
    draws, n_rows, options = ("1", 40, SMALL) if given.small else (given.draws, given.rows, {})
    for draw in map(int, draws.split(",")):
        for way in WAYS:
            path = given.folder / f"{draw}-{way}.json"
            asked = {**BASE, **WAYS[way], **options, "draw_seed": draw, "test_samples": n_rows or None}
            if path.exists():
                refuse_others(path, asked)
                continue
            write_json(path, trained(asked, given.folder))
            print(f"draw {draw}, {way}: done", flush=True)
    pairs = kept_pairs(given.folder)
    head = ["draw", "scores", "rows", "AUC before", "AUC with slices", "difference"]
    print(tabulate(lines_of(pairs), head, tablefmt="github", disable_numparse=True), end="\n\n")
    head = ["runs", "scores", "draws", "AUC", "LogLoss", "UAUC"]
    print(tabulate(figures_of(kept_records(given.folder)), head, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
