"""What RecBole models add to collaborative statistics, without the language model, on development rows alone.

    python -m benchmarks.evidence_with_models --models=FM,DeepFM --out=benchmarks/results/evidence_with_models.json
    python -m benchmarks.evidence_with_models --small

The validation and test rows of the default's split are removed from ml-100k first, and the rest is split again by the
same rule. Each line is the regression on one set of terms, judged on all test rows of that split: with the further rows
of a default run (`evidence_samples`), and fitted on its 250 validation samples alone.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from benchmarks.development_rows import write_training_period
from recbole_apa.comparison.context import open_context
from recbole_apa.comparison.methods.evidence import EVIDENCE, EvidenceMethod
from recbole_apa.evaluation.metrics import auc, mean_log_loss, uauc, user_numbers

SMALL: dict[str, Any] = {"test_samples": 200}


def judged(data_path: str, folder: Path, terms: list[str], options: dict[str, Any]) -> dict[str, Any]:
    """Figures of the row ``Evidence`` with these terms.

    Args:
        folder: scratch.
        terms: as the option ``evidence`` names them.
    """
    given = {"data_path": data_path, "test_samples": None, "show_progress": False, **options, "evidence": terms}
    context, start = open_context("ml-100k", [], given, folder), time.process_time()
    method = EvidenceMethod(context, EVIDENCE)
    fitted = method.fit(context.config["seed"])
    scores, samples = method.score(EVIDENCE).scores, context.splits["test"]
    labels, users = np.array([s.label for s in samples]), user_numbers([s.user_id for s in samples])
    return {
        "terms": ", ".join(terms),
        "further rows": len(context.run_data.evidence_rows),
        "AUC": auc(labels, scores),
        "UAUC": uauc(labels, scores, users),
        "LogLoss": mean_log_loss(labels, scores),
        "labels": fitted.n_labels,
        "s": round(time.process_time() - start, 1),
    }


def records(models: list[str], options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Without models and with each, with and without further rows."""
    sets = [["counts"], *(["counts", name] for name in models), *([["counts", *models]] if len(models) > 1 else [])]
    with tempfile.TemporaryDirectory() as data, tempfile.TemporaryDirectory() as scratch:
        write_training_period(Path(data))
        for n, terms in enumerate(sets):
            for n_further in (2000, 0):
                folder = Path(scratch) / f"{n}-{n_further}"
                folder.mkdir()
                yield judged(data, folder, terms, {**options, "evidence_samples": n_further})


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--models", default="FM,DeepFM")
    given = begin(parser)
    rows = []
    for row in records(["FM"] if given.small else given.models.split(","), SMALL if given.small else {}):
        rows.append(row)
        print(row, flush=True)
    print(tabulate(rows, "keys", tablefmt="github", floatfmt=".4f"))
    keep(given, {"rows": rows})


if __name__ == "__main__":
    main()
