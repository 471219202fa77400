"""What tests of comparisons share: options, files of RecBole's models, rows, and what is known of their samples."""

import csv
from pathlib import Path
from typing import get_args

from recbole_apa.comparison.row import DONE, Row
from recbole_apa.data.baseline_rows import BaselineData

BLOCKS = get_args(BaselineData)
PAPER = {"protocol": "tallrec", "min_history": 10, "train_samples": 20, "valid_samples": 6, "test_samples": 6}
FEW = {name: {"epochs": 2} for name in ("BPR", "FM", "SASRec", "LightGCN")}
COSTS = ("train_seconds", "unlearn_seconds", "unlearn_shards_hit", "n_shards", "inference_ms_per_sample")


def lines_of(folder, part):
    """Lines of a file that RecBole's models read, as lists."""
    with open(folder / "presplit" / f"presplit.{part}.inter") as file:
        return list(csv.reader(file, delimiter="\t"))[1:]


def is_of(line, user, item):
    return line[:2] == [user, item]


def with_other_label(data_folder: Path, folder: Path, sample) -> str:
    """A copy of the board with a sample's rating on the other side of the threshold; returns its ``data_path``."""
    source, target = data_folder / "board", folder / "board"
    target.mkdir(parents=True)
    lines = (source / "board.inter").read_text().splitlines()
    for n, line in enumerate(lines):
        words = line.split("\t")
        if is_of(words, sample.user_id, sample.item_id):
            lines[n] = "\t".join([*words[:2], "2" if sample.label else "5", words[3]])
    (target / "board.inter").write_text("\n".join(lines) + "\n")
    (target / "board.item").write_bytes((source / "board.item").read_bytes())
    return str(folder)


def row_of(name, scores, seed=1, **figures) -> Row:
    """A finished row with scores and figures; every cost is 1."""
    fixed = dict.fromkeys((*COSTS, "forward_passes", "peak_memory_bytes", "n_parameters"), 1.0)
    return Row(name, seed, DONE, "", {**fixed, **figures}, scores)


def judged_samples(labels, users, **more):
    """What a comparison keeps of its test samples."""
    n = len(labels)
    others = {"n_history": [1] * n, "n_train_samples_of_user": [0] * n, "n_train_rows_of_item": [1] * n}
    return {"label": [int(y) for y in labels], "user": [int(u) for u in users], **others, **more}
