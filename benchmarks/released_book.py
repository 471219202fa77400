"""TALLRec's released Book samples: how many, how many liked, and how far the history's share of likes alone gets.

    python -m benchmarks.released_book data/book/test.json      # of a clone of TALLRec's repository (c1db29c)

Its prompts name ten earlier books at most, each with ``written by``, in a list of the liked and one of the others.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from recbole_apa.evaluation.metrics import auc

WRITTEN, OTHERS, TARGET = "written by", "\nUser Unpreference: ", "\nWhether the user will like"


def history_of(sample: Mapping[str, str]) -> tuple[int, int]:
    """How many books the prompt names as liked, and how many as not."""
    liked, rest = sample["input"].split(OTHERS)
    return liked.count(WRITTEN), rest.split(TARGET)[0].count(WRITTEN)


def figures(samples: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Of all samples; the AUC is that of the share of likes in each history."""
    labels = np.array([sample["output"].startswith("Yes") for sample in samples], dtype=np.int64)
    histories = np.array([history_of(sample) for sample in samples])
    lengths = histories.sum(axis=1)
    return {
        "samples": len(samples),
        "liked": float(labels.mean()),
        "shortest history": int(lengths.min()),
        "mean history": float(lengths.mean()),
        "AUC of its share of likes": auc(labels, histories[:, 0] / lengths),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    for name, figure in figures(json.loads(given.file.read_text(encoding="utf-8"))).items():
        print(f"{name}: {figure:.4g}")


if __name__ == "__main__":
    main()
