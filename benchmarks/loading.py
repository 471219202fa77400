"""From a file of interactions to targets: seconds and RAM of the strict reader, of filters, split and draw, of all that
a run makes of its data, and of RecBole's own models with and without that reader. Each is measured in a separate
process.

    python -m benchmarks.loading --rows=10_000_000 --recbole_rows=1_000_000 --out=FILE
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.command import begin, command, keep

ROOT = Path(__file__).resolve().parent.parent
USER, ITEM, RATING, TIME = "user_id", "item_id", "rating", "timestamp"
SIZES = {"train": 1024, "valid": 250, "test": 400}
_CHUNK = 1_000_000


def write_interactions(path: Path, n: int, seed: int = 0) -> None:
    """Write ``n`` random interactions: 150 per user on average, items with a long tail, varied times."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{USER}:token\t{ITEM}:token\t{RATING}:float\t{TIME}:float\n")
        for start in range(0, n, _CHUNK):
            m = min(_CHUNK, n - start)
            users = rng.integers(0, max(n // 150, 2), m)
            items = np.minimum(rng.zipf(1.2, m), 60_000)
            ratings = rng.integers(1, 11, m) / 2
            times = 1_000_000_000 + rng.integers(0, 500_000_000, m)
            rows = zip(users.tolist(), items.tolist(), ratings.tolist(), times.tolist(), strict=True)
            file.writelines(f"{u}\t{i}\t{r}\t{t}\n" for u, i, r, t in rows)


def write_items(path: Path, n: int = 60_000) -> None:
    """Write a title and a year for each item."""
    lines = [f"{i}\tFilm {i}\t{1950 + i % 70}\n" for i in range(1, n + 1)]
    path.write_text(f"{ITEM}:token\ttitle:token_seq\tyear:float\n" + "".join(lines), encoding="utf-8")


def read_only(path: Path) -> dict[str, float]:
    """The reader, with encoded ids, and labels."""
    from recbole_apa.data.reader import read_table

    start = time.perf_counter()
    table = read_table(path)
    labels = table.numbers(RATING) >= 4
    return {"rows": len(table), "likes": int(labels.sum()), "read_seconds": time.perf_counter() - start}


def read_and_split(path: Path) -> dict[str, float]:
    """The reader, then 5-core filters, duplicates, windows, RecBole's split by ratio and the draw."""
    from recbole_apa.data.filters import FilterSettings, Tables, filter_tables
    from recbole_apa.data.reader import read_table
    from recbole_apa.data.recbole_split import SplitSettings, split_rows
    from recbole_apa.data.samples import Interactions, order_windows
    from recbole_apa.data.splits import SPLITS, draw_split

    start = time.perf_counter()
    table = read_table(path)
    read = time.perf_counter()
    settings = FilterSettings(USER, ITEM, TIME, "first", {}, True, "[5,inf)", "[5,inf)")
    table = filter_tables(Tables(table), settings).inter
    filtered = time.perf_counter()
    values, times = table.numbers(RATING), table.numbers(TIME)
    rows = Interactions(table.texts(USER), table.texts(ITEM), (values >= 4).astype(np.int64), times, values)
    windows = order_windows(rows.users, rows.times)
    split = split_rows(rows.users, rows.times, SplitSettings("TO", "RS", [0.8, 0.1, 0.1], True, 2020))
    ordered = time.perf_counter()
    drawn = draw_split(dict(zip(SPLITS, split, strict=True)), rows, windows, 1, dict(SIZES))
    end = time.perf_counter()
    return {
        "rows": len(rows),
        "drawn": sum(map(len, drawn.rows.values())),
        "read_seconds": read - start,
        "filter_seconds": filtered - read,
        "order_and_split_seconds": ordered - filtered,
        "draw_seconds": end - ordered,
        "filter_split_draw_seconds": end - read,
    }


def make_data(path: Path) -> dict[str, float]:
    """What a run makes of its data, and what it makes again of the rows in its index; the same filters and split."""
    from recbole_apa.core.settings import SampleSettings
    from recbole_apa.data.data_options import DataOptions, FileOptions, LabelRule
    from recbole_apa.data.filters import FilterSettings
    from recbole_apa.data.index.rows import IndexedRows
    from recbole_apa.data.read_data import read_data, read_sides
    from recbole_apa.data.recbole_split import SplitSettings
    from recbole_apa.data.run_data import RunData
    from recbole_apa.data.visible_data import VisibleData

    options = DataOptions(
        FileOptions(USER, ITEM, TIME, (USER, ITEM), ("label", TIME, RATING)),
        LabelRule(RATING, 4),
        FilterSettings(USER, ITEM, TIME, "first", {}, True, "[5,inf)", "[5,inf)"),
        SplitSettings("TO", "RS", [0.8, 0.1, 0.1], True, 2020),
        SampleSettings("recbole", 10, 1, *SIZES.values(), "{title} ({year})"),
    )
    stem = path.with_suffix("")
    marks = [time.perf_counter()]
    loaded = read_data(options.files, options.filters, options.label, stem, VisibleData())
    marks.append(time.perf_counter())
    made = RunData.of_files(loaded, options, VisibleData())
    drawn = sum(map(len, made.samples.values()))
    marks.append(time.perf_counter())
    digest = made.digest(b"secret").hex()
    marks.append(time.perf_counter())
    index = made.index_rows()
    marks.append(time.perf_counter())
    again = RunData.of_index(IndexedRows(index), options, read_sides(options.files, stem), made.cutoffs)
    assert again.samples == made.samples and again.digest(b"secret").hex() == digest
    marks.append(time.perf_counter())
    names = ("read_and_filter", "split_draw_samples", "digest", "index_rows", "all_again_from_index")
    seconds = {f"{name}_seconds": end - start for name, start, end in zip(names, marks, marks[1:], strict=False)}
    return {"rows": len(made.rows), "drawn": drawn, **seconds, "with_index_seconds": marks[-2] - marks[0]}


def load_in_recbole(path: Path) -> dict[str, float]:
    """What RecBole does before it trains Pop: load, remap, split."""
    from recbole.data import create_dataset, data_preparation

    from recbole_apa import APAConfig

    options = {
        "data_path": str(path.parent.parent),
        "load_col": {"inter": [USER, ITEM, RATING, TIME]},
        "eval_args": {"split": {"RS": [0.8, 0.1, 0.1]}, "order": "TO", "group_by": "user", "mode": "full"},
    }
    config = APAConfig("Pop", path.stem, None, options)
    start = time.perf_counter()
    dataset = create_dataset(config)
    loaded = time.perf_counter()
    data_preparation(config, dataset)
    return {"load_seconds": loaded - start, "with_split_seconds": time.perf_counter() - start}


JOBS = {"read": read_only, "split": read_and_split, "data": make_data, "recbole": load_in_recbole}


def measured(job: str, path: Path, variables: dict[str, str]) -> dict[str, Any]:
    """A job's figures from a separate process, with that process's peak RAM."""
    line = [sys.executable, "-m", "benchmarks.loading", "--job", job, "--file", str(path)]
    done = subprocess.run(line, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--recbole_rows", type=int, default=1_000_000, help="RecBole's own loader takes 30 s a million")
    parser.add_argument("--job", choices=JOBS)
    parser.add_argument("--file", type=Path)
    given = begin(parser)
    if given.job:
        import pyarrow as pa

        pa.set_cpu_count(given.threads)
        told = JOBS[given.job](given.file)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({**told, "peak_bytes": peak}))
        return
    rows, recbole_rows = (20_000, 20_000) if given.small else (given.rows, given.recbole_rows)
    one = {"OMP_NUM_THREADS": str(given.threads)}
    with tempfile.TemporaryDirectory() as scratch:
        large, small = (Path(scratch) / name / f"{name}.inter" for name in ("large", "small"))
        write_interactions(large, rows)
        write_items(large.with_suffix(".item"))
        write_interactions(small, recbole_rows)
        record = {
            "file_bytes": large.stat().st_size,
            "reader": measured("read", large, one),
            "reader, filters, split, draw": measured("split", large, one),
            "a run's data": measured("data", large, one),
            "RecBole's Pop with this reader": measured("recbole", small, one),
            "RecBole's Pop with its own": measured("recbole", small, {**one, "RECBOLE_APA_COMPAT": "0"}),
        }
    body = [
        [name, job, figures[job], figures["peak_bytes"] / 1e9]
        for name, figures in record.items()
        if isinstance(figures, dict)
        for job in figures
        if job.endswith("_seconds")
    ]
    print(f"{rows:,} rows ({recbole_rows:,} for RecBole), {given.threads} thread(s)")
    print(tabulate(body, ["what", "step", "seconds", "peak RAM, GB"], tablefmt="github", floatfmt=".2f"))
    keep(given, {"rows": rows, "recbole_rows": recbole_rows, **record})


if __name__ == "__main__":
    main()
