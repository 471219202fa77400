"""What collaborative statistics alone say on development rows: AUC, LogLoss, seconds and RAM.

Rows of ml-100k's training period are split again by the same rule (RecBole's 8:1:1 by each user's time); the validation
and test rows of the default's split are removed before anything is read. Terms are combined on the development
validation rows and judged on the development test rows.

    python -m benchmarks.collaborative --out=FILE
    python -m benchmarks.collaborative --search --out=FILE
    python -m benchmarks.collaborative --further --out=FILE
    python -m benchmarks.collaborative --rows=10_000_000 --out=FILE
"""

import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import recbole
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from recbole_apa.collaborative import (
    DEFAULT_TERMS,
    Alone,
    Contents,
    ItemContent,
    ItemSums,
    Logistic,
    Pairs,
    PairSums,
    Pasts,
    Source,
    TermOptions,
    TrainingRows,
    collaborative_terms,
    pairs_of,
    pasts_of,
    training_rows,
)
from recbole_apa.core.settings import SampleSettings
from recbole_apa.data.data_options import DataOptions, FileOptions, LabelRule
from recbole_apa.data.filters import FilterSettings
from recbole_apa.data.read_data import read_data
from recbole_apa.data.recbole_split import SplitSettings
from recbole_apa.data.run_data import RunData
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.evaluation.metrics import auc, mean_log_loss

NAME, USER, ITEM, RATING, TIME = "ml-100k", "user_id", "item_id", "rating", "timestamp"
OPTIONS = DataOptions(
    FileOptions(USER, ITEM, TIME, (USER, ITEM), ("label", TIME, RATING)),
    LabelRule(RATING, 4),
    FilterSettings(USER, ITEM, TIME),
    SplitSettings("TO", "RS", [0.8, 0.1, 0.1], True, 2020),
    SampleSettings("recbole", 10, 1, None, None, None, "{movie_title} ({release_year})"),
)
"""The default's split, with every row as a sample."""
RIDGE = 1.0
FEW = 250
"""As many rows as a default run draws for validation."""
N_DRAWS, FURTHER = 20, (0, 250, 500, 1000, 2000, 10_000)
SETS = {
    "item mean": ("item_mean",),
    "item mean, rate of the past": ("item_mean", "rate"),
    "item mean, bias": ("item_mean", "bias"),
    "+ recent rate and bias": ("item_mean", "bias", "recent_bias", "recent_rate"),
    "+ neighbours": ("item_mean", "bias", "recent_bias", "recent_rate", "neighbors"),
    "all": DEFAULT_TERMS,
    "without neighbours": ("item_mean", "bias", "recent_bias", "recent_rate", "content"),
}
GRID: dict[str, tuple[float, ...]] = {
    "item_strength": (2, 5, 10, 20),
    "user_strength": (1, 3, 10),
    "recency": (0.7, 0.8, 0.9, 0.95),
    "bias_strength": (1, 5, 20),
    "pair_shrinkage": (5, 10, 20, 50, 100),
    "neighbors": (20, 30, 50, 100, 1000),
    "neighbor_strength": (0.1, 0.3, 1, 3),
    "years": (5, 10, 20, 40),
    "content_strength": (0.5, 2, 8),
}


def read(stem: Path) -> RunData:
    """A dataset with all rows as samples."""
    loaded = read_data(OPTIONS.files, OPTIONS.filters, OPTIONS.label, stem, VisibleData())
    return RunData.of_files(loaded, OPTIONS, VisibleData())


def write_training_period(folder: Path) -> Path:
    """Copy ml-100k without the validation and test rows of the default's split; returns the path without endings."""
    source = Path(recbole.__file__).parent / "dataset_example" / NAME
    shutil.copytree(source, folder / NAME)
    stem = folder / NAME / NAME
    data = read(stem)
    inter = stem.with_suffix(".inter")
    head, *lines = inter.read_text().splitlines()
    kept = [line for line, role in zip(lines, data.notes.roles, strict=True) if role == 0]
    inter.write_text("\n".join([head, *kept]) + "\n")
    return stem


class Development:
    """Statistics and pasts of the development rows."""

    def __init__(self, data: RunData, use_ratings: bool = False, shown: int | None = None) -> None:
        self.rows = training_rows(data, use_ratings)
        n_items = len(data.rows.items.names)
        self.targets = {name: data.targets[name] for name in ("valid", "test")}
        both = np.concatenate(list(self.targets.values()))
        self.labels, self.users = data.rows.labels[both], data.rows.users.codes[both]
        self.n_valid = len(self.targets["valid"])
        self.few = np.random.default_rng(0).choice(self.n_valid, FEW, replace=False)
        self.pasts: Pasts = pasts_of(data, both, use_ratings)
        if shown is not None:
            self.pasts = self.pasts.last(shown)
        start = time.perf_counter()
        self.items = ItemSums.of(self.rows, n_items)
        self.pairs = PairSums.of(self.rows, pairs_of(self.pasts)[0])
        self.sums_seconds = time.perf_counter() - start
        self.contents = Contents(ItemContent.of_columns(data.texts, data.rows.items.names, "class", "release_year"))

    def figures(self, options: TermOptions, names: tuple[str, ...]) -> dict[str, float]:
        """Of a combination that is fitted on the development validation rows."""
        return self.judged(
            collaborative_terms(self.pasts, self.items, self.pairs, options, self.contents).columns, names
        )

    def judged(self, columns: dict[str, np.ndarray], names: tuple[str, ...]) -> dict[str, float]:
        table = np.stack([columns[name] for name in names], axis=1)
        valid, test = slice(self.n_valid), slice(self.n_valid, None)
        fitted = Logistic.fit(table[valid], self.labels[valid], RIDGE)
        scores, labels = fitted.scores(table[test]), self.labels[test]
        few = Logistic.fit(table[self.few], self.labels[self.few], RIDGE).scores(table[test])
        return {
            "few_auc": auc(labels, few) or float("nan"),
            "few_log_loss": mean_log_loss(labels, few),
            "auc": auc(labels, scores) or float("nan"),
            "log_loss": mean_log_loss(labels, scores),
            "user_auc": within_users(labels, scores, self.users[test]),
        }


def within_users(labels: np.ndarray, scores: np.ndarray, users: np.ndarray) -> float:
    """Mean AUC of the users who have both labels."""
    found = [auc(labels[users == user], scores[users == user]) for user in np.unique(users)]
    return float(np.mean([value for value in found if value is not None]))


def search(development: Development) -> Iterator[dict[str, Any]]:
    """One constant after another, each at the value of least LogLoss on the development test rows, twice over."""
    names, best = DEFAULT_TERMS, TermOptions()
    least = development.figures(best, names)["log_loss"]
    for _ in range(2):
        for field, values in GRID.items():
            for value in values:
                tried = replace(best, **{field: value})
                figures = development.figures(tried, names)
                yield {"options": asdict(tried), **figures}
                if figures["log_loss"] < least:
                    least, best = figures["log_loss"], tried


def further_rows(found: Development) -> Iterator[dict[str, float]]:
    """Fits on as many rows as a default run draws for validation, and on further rows of the same users: means and
    standard deviations over draws."""
    terms = collaborative_terms(found.pasts, found.items, found.pairs, TermOptions(), found.contents)
    table, labels, users = terms.table(DEFAULT_TERMS), found.labels, found.users
    valid, test = slice(found.n_valid), slice(found.n_valid, None)
    for further in FURTHER:
        scored = []
        for seed in range(N_DRAWS):
            few, rest = np.split(np.random.default_rng(seed).permutation(found.n_valid), [FEW])
            rows = np.concatenate([few, rest[np.isin(users[rest], users[few])][:further]])
            scores = Logistic.fit(table[valid][rows], labels[valid][rows], RIDGE).scores(table[test])
            within = within_users(labels[test], scores, users[test])
            scored.append((len(rows), auc(labels[test], scores), mean_log_loss(labels[test], scores), within))
        figures = dict(zip(("rows", "auc", "log_loss", "user_auc"), np.mean(scored, axis=0).tolist(), strict=True))
        yield {"further": further, **figures, "log_loss_std": float(np.std([told[2] for told in scored]))}


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


def size_record(n: int) -> dict[str, Any]:
    """Seconds and RAM for ``n`` made-up rows, in parts of 65,536 as an index has them, and 650 targets."""
    rng = np.random.default_rng(0)
    n_users, n_items, part = n // 150, 10_000, 1 << 16
    shares = 1 / (np.arange(n_items) + 100.0)
    popular = np.searchsorted(np.cumsum(shares) / shares.sum(), rng.random(n))
    rows = TrainingRows(np.sort(rng.integers(0, n_users, n)), popular, rng.integers(0, 2, n))
    targets = rng.choice(n, 650, replace=False)
    begins, ends = (np.searchsorted(rows.users, rows.users[targets], side=side) for side in ("left", "right"))
    past_items = [popular[slice(*ends_of)] for ends_of in zip(begins, ends, strict=True)]
    pairs, _ = Pairs.of(np.repeat(popular[targets], ends - begins), np.concatenate(past_items))
    items, sums, spent = ItemSums.of(rows_of(rows, 0, 0), n_items), PairSums.none(pairs), np.zeros(3)
    begin_at = 0
    while begin_at < n:
        end = min(begin_at + part, n)
        end = int(np.searchsorted(rows.users, rows.users[end - 1], side="right"))
        some = rows_of(rows, begin_at, end)
        marks = [time.process_time()]
        items = items.plus(ItemSums.of(some, n_items))
        marks.append(time.process_time())
        sums = sums.plus(PairSums.of(some, pairs))
        marks.append(time.process_time())
        spent[:2] += np.diff(marks)
        begin_at = end
    start = time.process_time()
    one = rows_of(rows, 0, int(np.searchsorted(rows.users, rows.users[0], side="right")))
    items.minus(ItemSums.of(one, n_items))
    sums.minus(PairSums.of(one, pairs))
    record = {
        "rows": n,
        "pairs": len(pairs),
        "item_sums_cpu_seconds": spent[0],
        "pair_sums_cpu_seconds": spent[1],
        "one_user_less_cpu_seconds": time.process_time() - start,
        "peak_mb": peak(),
    }
    print(record)
    return record


def rows_of(rows: TrainingRows, begin_at: int, end: int) -> TrainingRows:
    """Whole users' rows, users numbered from 0."""
    users = rows.users[begin_at:end]
    return TrainingRows(users - (users[0] if len(users) else 0), rows.items[begin_at:end], rows.values[begin_at:end])


def peak() -> int:
    """Largest resident size of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--rows", type=int, help="measure the statistics of this many made-up rows instead")
    parser.add_argument("--further", action="store_true", help="fit on further rows of the validation period")
    parser.add_argument("--search", action="store_true", help="try other constants, one after another")
    given = begin(parser)
    keep(given, size_record(given.rows) if given.rows else development_record(given))


if __name__ == "__main__":
    main()
