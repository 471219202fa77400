"""Seconds and RAM of collaborative statistics of many made-up rows."""

import resource
import time
from typing import Any

import numpy as np

from recbole_apa.collaborative import (
    ItemSums,
    Pairs,
    PairSums,
    TrainingRows,
)


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
