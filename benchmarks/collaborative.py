"""What collaborative statistics alone say on development rows: AUC, LogLoss, seconds and RAM.

The rows: :mod:`benchmarks.development_rows`. Terms are combined on the development validation rows and judged on the
development test rows.

    python -m benchmarks.collaborative --out=FILE
    python -m benchmarks.collaborative --search --out=FILE
    python -m benchmarks.collaborative --further --out=FILE
    python -m benchmarks.collaborative --rows=10_000_000 --out=FILE
"""

import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.collaborative_further import N_DRAWS, further_rows
from benchmarks.collaborative_search import search
from benchmarks.collaborative_size import peak, size_record
from benchmarks.command import begin, command, keep
from benchmarks.development_rows import FEW, RIDGE, Development, read, write_training_period
from recbole_apa.collaborative import DEFAULT_TERMS, Alone, Source, TermOptions, collaborative_terms, pasts_of
from recbole_apa.data.run_data import RunData

SETS = {
    "item mean": ("item_mean",),
    "item mean, rate of the past": ("item_mean", "rate"),
    "item mean, bias": ("item_mean", "bias"),
    "+ recent rate and bias": ("item_mean", "bias", "recent_bias", "recent_rate"),
    "+ neighbours": ("item_mean", "bias", "recent_bias", "recent_rate", "neighbors"),
    "all": DEFAULT_TERMS,
    "without neighbours": ("item_mean", "bias", "recent_bias", "recent_rate", "content"),
}


def drawn_seconds(data: RunData) -> dict[str, float]:
    """What a default run would spend on it: statistics of all rows, and terms of as many targets as it draws."""
    rng, sizes = np.random.default_rng(0), {"valid": FEW, "test": 400}
    targets = {name: np.sort(rng.choice(data.targets[name], size, replace=False)) for name, size in sizes.items()}
    start = time.perf_counter()
    source = Source.of(data, TermOptions())
    fitted = Alone.fit(source, replace(data, targets={**data.targets, **targets}), RIDGE)
    trained = time.perf_counter()
    fitted.scores(pasts_of(data, targets["test"]))
    return {"fit_seconds": trained - start, "score_seconds": time.perf_counter() - trained}


def development_record(given: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        data = read(write_training_period(Path(scratch)))
    if given.search:
        record = list(search(Development(data)))
        best = min(record, key=lambda entry: entry["log_loss"])
        print(best)
        return {"tried": record, "best": best}
    if given.further:
        sorts = {"labels": Development(data), "ratings": Development(data, use_ratings=True)}
        rows = [{"values": name, **told} for name, found in sorts.items() for told in further_rows(found)]
        print(tabulate(rows, "keys", tablefmt="github", floatfmt=".4f"))
        return {"draws": N_DRAWS, "further": rows}
    record = {}
    for title, use_ratings, shown in (("", False, None), (", ten lines", False, 10), (", ratings", True, None)):
        start = time.perf_counter()
        development = Development(data, use_ratings, shown)
        terms = collaborative_terms(
            development.pasts, development.items, development.pairs, TermOptions(), development.contents
        )
        seconds = time.perf_counter() - start
        about = {"sums_seconds": development.sums_seconds, "seconds": seconds, "pairs": len(development.pairs.pairs)}
        for name, columns in SETS.items():
            record[name + title] = {**development.judged(terms.columns, columns), **about}
    body = [
        [name, *(r[key] for key in ("auc", "log_loss", "user_auc", "few_auc", "few_log_loss", "seconds"))]
        for name, r in record.items()
    ]
    print(
        tabulate(
            body,
            ["terms", "AUC", "LogLoss", "within users", f"AUC, {FEW} rows", f"LogLoss, {FEW} rows", "s"],
            tablefmt="github",
            floatfmt=".4f",
        )
    )
    drawn = drawn_seconds(data)
    print(f"as a default run draws: {drawn}")
    rows = {"training": len(development.rows), "valid": development.n_valid, "test": len(development.targets["test"])}
    print(rows, f"peak RSS {peak()} MB")
    return {"rows": rows, "figures": record, "as_drawn": drawn, "options": asdict(TermOptions()), "peak_mb": peak()}


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--rows", type=int, help="measure the statistics of this many made-up rows instead")
    parser.add_argument("--further", action="store_true", help="fit on further rows of the validation period")
    parser.add_argument("--search", action="store_true", help="try other constants, one after another")
    given = begin(parser)
    keep(given, size_record(given.rows) if given.rows else development_record(given))


if __name__ == "__main__":
    main()
