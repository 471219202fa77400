"""What `semantic_user` and slices cost in AUC: runs with and without them on the same draws, scored on the same rows.

    python -m benchmarks.slices_quality --draws=1,2,3 --rows=2000 --folder=benchmarks/results/slices-quality
    python -m benchmarks.slices_quality --small --folder=DIR

Default runs of ml-100k, for each draw one with `partition: semantic, shard_slices: 1` and one with `semantic_user` and
eight slices; both are scored on up to `--rows` test rows of the draw (0: all of them). Each training goes to a file of
the folder when it ends, and what is there is not trained again. Differences are paired, with 95 % intervals over users;
"all draws" is the mean over the draws, whose users are resampled together.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.command import begin, command, or_nan
from benchmarks.protocol import commit
from recbole_apa import run
from recbole_apa.collaborative import MODEL
from recbole_apa.core.files.whole import read_json, write_json
from recbole_apa.core.system.machine import machine_kind
from recbole_apa.evaluation.metrics import auc, interval, resampled_aucs

WAYS: dict[str, dict[str, Any]] = {
    "before": {"partition": "semantic", "shard_slices": 1},
    "slices": {"partition": "semantic_user", "shard_slices": 8},
}
BASE: dict[str, Any] = {"variants": "none", "baselines": [], "show_progress": False}
SMALL: dict[str, Any] = {"train_samples": 16, "valid_samples": 16, "n_shards": 2, "MAX_ITEM_LIST_LENGTH": 3}
SERVED, RESAMPLES = "served", 2000
Record = Mapping[str, Any]


def trained(way: str, draw: int, n_rows: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of one run's test samples, and who they are of."""
    given = {**BASE, **WAYS[way], **options, "draw_seed": draw, "test_samples": n_rows or None}
    start, measured_on = time.process_time(), commit()
    with tempfile.TemporaryDirectory() as place:
        result = run("APA", "ml-100k", config_dict=given, run_dir=Path(place) / "run")
        part, how = result.data.test_set, result.model.settings.aggregation.aggregation
        weights = result.model.weights(result.model.prompts_of(part))
        scores = result.trainer.aggregate(part, weights, how, "Score", False).numpy()
        served = result.trainer.served_of(part, scores)
    return {
        "options": given,
        "commit": measured_on,
        "machine": machine_kind("cpu").text(),
        "processor_seconds": round(time.process_time() - start),
        "samples": [sample.sample_id for sample in part.samples],
        "users": [sample.user_id for sample in part.samples],
        "labels": [int(sample.label) for sample in part.samples],
        MODEL: np.round(scores.astype(np.float64), 6).tolist(),
        SERVED: np.round(served.astype(np.float64), 6).tolist(),
    }


def lines_of(pairs: Mapping[int, Mapping[str, Record]]) -> list[list[str]]:
    """The table: for each draw and for all, AUC of both ways and the difference, of the model and of what is served.

    Raises:
        ValueError: the two runs of a draw were scored on different rows.
    """
    everyone = sorted({user for pair in pairs.values() for user in pair["before"]["users"]})
    number, lines = {user: i for i, user in enumerate(everyone)}, []
    for kind in (MODEL, SERVED):
        found, drawn = [], []
        for draw, pair in pairs.items():
            if pair["before"]["samples"] != pair["slices"]["samples"]:
                raise ValueError(f"draw {draw}: the two runs were scored on different rows; delete one of its files")
            labels = np.array(pair["before"]["labels"])
            users = np.array([number[user] for user in pair["before"]["users"]])
            scores = {way: np.array(pair[way][kind]) for way in WAYS}
            found.append([or_nan(auc(labels, scores[way])) for way in WAYS])
            resampled = resampled_aucs(labels, scores, RESAMPLES, 0, users, len(everyone))
            drawn.append(resampled["slices"] - resampled["before"])
            lines.append(line_of(f"{draw}", kind, len(labels), found[-1], drawn[-1]))
        if len(found) > 1:
            n_rows = sum(len(pair["before"]["labels"]) for pair in pairs.values())
            lines.append(line_of("all draws", kind, n_rows, np.mean(found, axis=0), np.mean(drawn, axis=0)))
    return lines


def line_of(draw: str, kind: str, n_rows: int, both: Sequence[float], drawn: np.ndarray) -> list[str]:
    low, high = interval(drawn)
    minus = f"{both[1] - both[0]:+.4f} ({low:+.4f} to {high:+.4f})"
    return [draw, kind, f"{n_rows:,}", f"{both[0]:.4f}", f"{both[1]:.4f}", minus]


def kept_pairs(folder: Path) -> dict[int, dict[str, Record]]:
    """Draw -> way -> record, of the draws that are complete."""
    files = {path.stem: path for path in sorted(folder.glob("*-*.json"))}
    draws = sorted({int(name.split("-")[0]) for name in files})
    pairs = {draw: {way: f"{draw}-{way}" for way in WAYS} for draw in draws}
    whole = {draw: names for draw, names in pairs.items() if all(name in files for name in names.values())}
    return {draw: {way: read_json(files[name]) for way, name in names.items()} for draw, names in whole.items()}


def parser() -> argparse.ArgumentParser:
    out = command(__doc__)
    out.add_argument("--folder", type=Path, required=True, help="holds a file for each training")
    out.add_argument("--draws", default="1,2,3")
    out.add_argument("--rows", type=int, default=0, help="test rows of a draw; 0: all")
    return out


def main() -> None:
    given = begin(parser())
    given.folder.mkdir(parents=True, exist_ok=True)
    draws, n_rows, options = ("1", 40, SMALL) if given.small else (given.draws, given.rows, {})
    for draw in map(int, draws.split(",")):
        for way in WAYS:
            path = given.folder / f"{draw}-{way}.json"
            if not path.exists():
                write_json(path, trained(way, draw, n_rows, options))
                print(f"draw {draw}, {way}: done", flush=True)
    head = ["draw", "scores", "rows", "AUC before", "AUC with slices", "difference"]
    print(tabulate(lines_of(kept_pairs(given.folder)), head, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
