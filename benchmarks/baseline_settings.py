"""How RecBole's models are trained in a comparison (properties/comparison/baselines.yaml): chosen on validation rows.

    python -m benchmarks.baseline_settings --blocks=all --tried="{stopping_step: 30}"
    python -m benchmarks.baseline_settings --blocks=all --models=FM,DeepFM --search=24 --out=FILE.jsonl
    python -m benchmarks.baseline_settings --rows

Training is the comparison's, and so is early stopping under `shown` and `drawn`: the other rows of the validation
period are judged. Under `all`, where a comparison stops on all of that period, one half of its users (by hash) stop
and the other half are judged. No test row is scored. Every training is one line of --out, and none is repeated.
--search tries settings drawn at random from SPACE, on top of --tried; the first N of them are the same for every N.
--rows prints how many rows each block has, and how many of the labels that test prompts show are labels of test rows
themselves. Other --option=value arguments go to APA.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

import numpy as np
from tabulate import tabulate

from recbole_apa.cli.main import parse_arguments
from recbole_apa.comparison.context import ComparisonContext, open_context
from recbole_apa.core.seeding import hash_order
from recbole_apa.core.yaml import parse_value
from recbole_apa.data.baseline_rows import BaselineData, baseline_rows, presplit_rows, stopping_rows
from recbole_apa.data.index.rows import TEST, VALID
from recbole_apa.data.presplit_files import write_presplit
from recbole_apa.data.samples import Sample, make_sample
from recbole_apa.evaluation.metrics import auc, mean_log_loss
from recbole_apa.pipeline.recbole_models import NAME, PresplitFiles, baseline_scores, train_baseline

OUT = Path("benchmarks/results/baseline_settings.jsonl")
MODELS = "FM,DeepFM,BPR"
SPACE: dict[str, dict[str, tuple[object, ...]]] = {
    "": {
        "learning_rate": (0.0003, 0.001, 0.003, 0.01),
        "embedding_size": (4, 10, 16, 32, 64),
        "weight_decay": (0.0, 1e-6, 1e-5, 1e-4, 1e-3),
        "train_batch_size": (512, 2048, 8192),
        "stopping_step": (10, 30),
    },
    "DeepFM": {"mlp_hidden_size": ([64, 64], [128, 128, 128], [256, 256, 256]), "dropout_prob": (0.0, 0.2, 0.5)},
}
"""What is searched for any model, and for one by name besides."""


def stopping(context: ComparisonContext, block: BaselineData) -> np.ndarray:
    """Numbers of the rows of the validation period that stop a training: under ``all``, those of half of its users."""
    data = context.run_data
    rows = stopping_rows(data, block)
    if block != "all":
        return rows
    users = sorted(set(data.rows.users.texts(rows)))
    half = {users[n] for n in hash_order(users, 0, "baseline settings")[: len(users) // 2]}
    return rows[np.isin(data.rows.users.texts(rows), list(half))]


def judged(context: ComparisonContext, block: BaselineData) -> list[Sample]:
    """The rows of the validation period that stop no training early; under ``all``, those of the other users."""
    data = context.run_data
    roles, order = data.notes.roles[data.kept], data.windows.order
    rows = order[(roles[order] == VALID) & (data.windows.n_before[order] >= data.options.samples.min_history)]
    rows = rows[~np.isin(rows, stopping(context, block))]
    length = data.options.samples.history_length
    return [make_sample(data.rows, data.windows, row, length) for row in rows.tolist()]


def settings_tried(model: str, tried: Mapping[str, object], n: int) -> list[dict[str, object]]:
    """The given settings alone, or n of :data:`SPACE` on top of them; the first are RecBole's own."""
    if not n:
        return [dict(tried)]
    space, rng = {**SPACE[""], **SPACE.get(model, {})}, np.random.default_rng(0)
    drawn = [{name: values[rng.integers(len(values))] for name, values in space.items()} for _ in range(n - 1)]
    return [dict(tried), *({**tried, **one} for one in drawn)]


def measure(context: ComparisonContext, block: BaselineData, model: str, tried: Mapping[str, object]) -> dict:
    """One training, with figures of the rows that are judged."""
    data, samples = context.run_data, judged(context, block)
    folder = context.folder / block
    parts = {
        "train": presplit_rows(data, baseline_rows(data, block)),
        "valid": presplit_rows(data, stopping(context, block)),
        "test": samples,
    }
    write_presplit(folder, NAME, parts, Path(context.config["data_path"]), context.layout)
    files = PresplitFiles(folder, context.item_columns, context.config["MAX_ITEM_LIST_LENGTH"], context.layout)
    trained = train_baseline(model, files, context.config["seed"], tried)
    labels, scores = np.array([s.label for s in samples]), baseline_scores(trained, 2, samples)
    return {
        "rows": trained.n_rows,
        "judged": len(samples),
        "auc": auc(labels, scores),
        "logloss": mean_log_loss(labels, scores) if trained.is_probability else None,
        "epochs": len(trained.trainer.train_loss_dict),
        "seconds": round(trained.seconds, 1),
    }


def counts(context: ComparisonContext) -> str:
    """Rows of each block, and whose labels test prompts show."""
    data = context.run_data
    roles, length = data.notes.roles[data.kept], data.options.samples.history_length
    shown = [roles[data.windows.history(row, length)] for row in data.targets["test"].tolist()]
    lines = [f"{block}: {len(baseline_rows(data, block)):,} rows" for block in get_args(BaselineData)]
    tested = np.concatenate(shown) == TEST
    return "\n".join([*lines, f"{tested.mean():.0%} of the {len(tested):,} labels in test prompts are of test rows"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--blocks", default=",".join(get_args(BaselineData)))
    parser.add_argument("--tried", default="{}")
    parser.add_argument("--search", type=int, default=0, metavar="N", help="how many settings to try")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--rows", action="store_true")
    given, further = parser.parse_known_args()
    options = {"show_progress": False, **parse_arguments(further)}
    with tempfile.TemporaryDirectory() as name:
        context = open_context(str(options.pop("dataset", "ml-100k")), (), options, Path(name))
        if given.rows:
            print(counts(context))
            return
        known = [json.loads(line) for line in given.out.read_text().splitlines()] if given.out.is_file() else []
        shown = []
        for block in given.blocks.split(","):
            sizes = {"train": len(context.splits["train"]), "valid": len(stopping(context, block))}
            shown.append((block, sizes))
            pairs = [
                (model, tried)
                for model in given.models.split(",")
                for tried in settings_tried(model, parse_value(given.tried), given.search)
            ]
            for model, tried in pairs:
                about = {"model": model, "block": block, "tried": tried, "samples": sizes}
                if any(about.items() <= line.items() for line in known):
                    continue
                begun = time.perf_counter()
                known.append({**about, **measure(context, block, model, tried)})
                given.out.parent.mkdir(parents=True, exist_ok=True)
                with given.out.open("a") as out:
                    out.write(json.dumps(known[-1]) + "\n")
                print(f"{model} on {block}: {time.perf_counter() - begun:.0f} s")
        print(
            tabulate(
                [line for line in known if (line["block"], line["samples"]) in shown],
                "keys",
                tablefmt="github",
                floatfmt=".4f",
            )
        )


if __name__ == "__main__":
    main()
