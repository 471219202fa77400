"""How many validation samples does the memory need? Figures of development rows with smaller and smaller memories.

    python -m benchmarks.memory_size --out=FILE.jsonl [--sizes=250,125,64] [--draws=1,2]
    python -m benchmarks.memory_size --small --out=FILE.jsonl

The validation and test rows of the default's split are removed from ml-100k first (benchmarks/development_rows.py). A
run is trained for each draw, with the largest memory. A smaller one is drawn as the option `valid_samples` draws it,
out of the same samples; tau, n, the weights and what evidence is fitted on follow from it, and the adapters stay. Each
line of JSON is one memory; the differences are from the draw's largest one, with intervals over users. "Fitted on
averages": the combination is fitted on the mean of the adapters' predictions, which needs no pass with merged ones. A
draw that is not complete in the file is made again.
"""

import argparse
import json
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate
from torch import Tensor

from benchmarks.command import or_nan
from benchmarks.development_rows import write_training_period
from benchmarks.protocol import commit
from benchmarks.resumed import kept_rows
from recbole_apa import APAConfig, run
from recbole_apa.adapters.aggregation import Memory, settle_weights
from recbole_apa.collaborative import BOTH, MODEL
from recbole_apa.data.dataset import APADataset
from recbole_apa.data.loaders import Loaders
from recbole_apa.evaluation.metrics import (
    auc,
    interval,
    log_losses,
    mean_log_loss,
    resampled_aucs,
    resampled_means,
    user_numbers,
)
from recbole_apa.model.combine import combined_of
from recbole_apa.model.fit_context import FitContext
from recbole_apa.model.validation_memory import of_memory
from recbole_apa.pipeline.build import RunResult
from recbole_apa.pipeline.build_data import build_data

BASE: dict[str, Any] = {"evidence": "counts", "test_samples": 600, "variants": "none", "baselines": []}
BASE |= {"partition": "semantic", "shard_slices": 1}  # as when the first rows were measured
SMALL: dict[str, Any] = {"train_samples": 16, "test_samples": 40, "n_shards": 2, "MAX_ITEM_LIST_LENGTH": 3}
SERVED, RESAMPLES = "served", 2000
AVERAGED = ", fitted on averages"
Scores = dict[str, np.ndarray]


def rows_of(draw: int, sizes: Sequence[int], options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of one draw: a run is trained, and its memory is cut."""
    given = {**BASE, **options, "draw_seed": draw, "valid_samples": max(sizes), "show_progress": False}
    with tempfile.TemporaryDirectory() as place:
        result = run("APA", "ml-100k", config_dict=given, run_dir=Path(place) / "run")
        assert result.model.rule is not None
        memory, before = result.model.rule.memory, Scores()
        samples = result.data.test_set.samples
        labels, users = np.array([s.label for s in samples]), user_numbers([s.user_id for s in samples])
        for size in sorted(sizes, reverse=True):
            data = build_data(APAConfig("APA", "ml-100k", config_dict={**given, "valid_samples": size}), told=False)
            about, scores = scored(result, data, memory)
            before = before or {**scores, **{name + AVERAGED: scores[name] for name in (BOTH, SERVED)}}
            told = {name: value for name, value in given.items() if name != "data_path"} | {"valid_samples": size}
            yield {"change": name_of(draw, size), "options": told, "commit": commit()} | {
                **about,
                "figures": judged(labels, users, scores, before),
                "memory_seconds": result.metrics["memory_seconds"] * len(data.valid_set.samples) / len(memory.labels),
            }


def name_of(draw: int, size: int) -> str:
    return f"draw {draw}, {size} rows"


def scored(result: RunResult, data: Loaders, whole: Memory) -> tuple[dict[str, Any], Scores]:
    """What is chosen on the memory of some validation samples, and the scores of the test samples by name.

    Args:
        data: the run's, with some of its validation samples; the same test samples.
        whole: the memory of all of the run's.
    """
    model, valid, test = result.model, data.valid_set, data.test_set
    memory, rule, given = part_of_memory(whole, result.data.valid_set, valid), model.rule, model.settings.aggregation
    assert rule is not None
    tau, n_neighbors = settle_weights(memory, rule.active, given.tau, given.n_neighbors)
    model.set_rule(memory, rule.centres, rule.active, tau, n_neighbors)
    assert model.rule is not None

    def aggregated(part: APADataset, weights: Tensor) -> np.ndarray:
        found: np.ndarray = result.trainer.aggregate(part, weights, given.aggregation, "Score", False).numpy()
        return found

    known = of_memory(model.rule, valid)
    of_test = aggregated(test, model.weights(model.prompts_of(test)))

    def served(of_valid: np.ndarray, kind: str) -> tuple[str, Scores]:
        combined = combined_of(FitContext(model), valid, of_valid, {})
        assert combined is not None
        scores = combined.scores_of(test, of_test)
        return combined.served, {BOTH + kind: scores[BOTH], SERVED + kind: scores[combined.served]} | (
            {} if kind else scores
        )

    name, scores = served(aggregated(valid, known["weights"]), "")
    other, averaged = served(known["prediction"].numpy(), AVERAGED)
    about = {"tau": tau, "n_neighbors": n_neighbors, "served": name, "served" + AVERAGED: other}
    return about, scores | averaged


def part_of_memory(memory: Memory, samples: APADataset, some: APADataset) -> Memory:
    """The rows of some of a memory's samples; a memory is in order of sample id."""
    names = [sorted(s.sample_id for s in part.samples) for part in (samples, some)]
    place = {name: i for i, name in enumerate(names[0])}
    rows = [place[name] for name in names[1]]
    return Memory(memory.embeddings[rows], memory.scores[rows], memory.labels[rows], memory.users[rows])


def judged(labels: np.ndarray, users: np.ndarray, scores: Scores, before: Scores) -> dict[str, dict[str, Any]]:
    """AUC and LogLoss by name, and both minus those of other scores of the same samples, with the interval."""
    out: dict[str, dict[str, Any]] = {}
    for name, found in scores.items():
        two = {"now": found, "then": before[name]}
        aucs, drawn = (
            [or_nan(auc(labels, x)) for x in two.values()],
            resampled_aucs(labels, two, RESAMPLES, 0, users),
        )
        losses = log_losses(labels, found) - log_losses(labels, before[name])
        out[name] = {
            "auc": aucs[0],
            "logloss": mean_log_loss(labels, found),
            "auc_minus": [aucs[0] - aucs[1], *interval(drawn["now"] - drawn["then"])],
            "logloss_minus": [float(losses.mean()), *interval(resampled_means({"": losses}, RESAMPLES, 0, users)[""])],
        }
    return out


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The Markdown table."""
    body = []
    for row in rows:
        found = row["figures"]
        cells = [f"{found[name][key]:.4f}" for name in (MODEL, SERVED) for key in ("auc", "logloss")]
        minus = [
            f"{value:+.4f} ({low:+.4f} to {high:+.4f})"
            for value, low, high in (
                found[name][f"{key}_minus"] for name in (MODEL, SERVED) for key in ("auc", "logloss")
            )
        ]
        body.append([row["change"], f"{row['tau']:g}", row["n_neighbors"], row["served"], *cells, *minus])
    kinds = [f"{name} {key}" for name in ("APA", "served") for key in ("AUC", "LogLoss")]
    head = ["memory", "tau", "n", "served", *kinds, *(f"{kind}, minus" for kind in kinds)]
    return tabulate(body, head, tablefmt="github", disable_numparse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", default="250,125,64")
    parser.add_argument("--draws", default="1,2")
    parser.add_argument("--small", action="store_true", help="shows that it runs")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    sizes, options = [int(size) for size in given.sizes.split(",")], SMALL if given.small else {}
    with tempfile.TemporaryDirectory() as folder:
        write_training_period(Path(folder))
        for draw in map(int, given.draws.split(",")):
            known = {row["change"] for row in kept_rows(given.out)}
            if {name_of(draw, size) for size in sizes} <= known:
                continue
            for row in rows_of(draw, sizes, {**options, "data_path": folder}):
                with open(given.out, "a") as lines:
                    lines.write(json.dumps(row) + "\n")
    print(table(kept_rows(given.out)))


if __name__ == "__main__":
    main()
