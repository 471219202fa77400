"""The index of a run: seconds to write, open, read, change and check it, and the most RAM that the process held.

    python -m benchmarks.index --rows=10_000_000 --out=FILE

Rows are made up: users with 150 on average, 60,000 items by Zipf's law. One process, one thread; the parts are in the
system's file cache when they are read.
"""

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import begin, command, keep
from recbole_apa.core.files.whole import file_digest
from recbole_apa.data.index.change import Change, rewrite
from recbole_apa.data.index.check import index_problems
from recbole_apa.data.index.facts import About
from recbole_apa.data.index.places import file_names
from recbole_apa.data.index.read import Index
from recbole_apa.data.index.rows import ALLOWED, KEPT, IndexRows
from recbole_apa.data.index.write import write_index
from recbole_apa.data.tokens import Tokens

_SALT = "00c0ffee00c0ffee"
_N_ITEMS = 60_000


def made_up_rows(n: int, seed: int = 0) -> IndexRows:
    """Rows in the order of a data file, (n,)."""
    rng = np.random.default_rng(seed)
    n_users = max(n // 150, 1)
    users = Tokens(rng.integers(0, n_users, n).astype(np.int32), [f"user{k}" for k in range(n_users)])
    codes = (np.minimum(rng.zipf(1.2, n), _N_ITEMS) - 1).astype(np.int32)
    items = Tokens(codes, [f"item{k}" for k in range(_N_ITEMS)])
    times = (10**9 + rng.integers(0, 5 * 10**8, n)).astype(np.float64)
    values = rng.integers(1, 6, n).astype(np.float64)
    roles, flags = rng.integers(0, 3, n).astype(np.int8), np.full(n, ALLOWED + KEPT, dtype=np.uint8)
    return IndexRows(users, items, times, values, np.arange(n), roles, flags, np.zeros(n, dtype=np.int32))


def peak() -> int:
    """The most RAM that the process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = begin(parser)
    n = 20_000 if given.small else given.rows
    record: dict[str, Any] = {"rows": n, "seconds": {}}

    def timed(what: str, step: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        out = step()
        record["seconds"][what] = time.perf_counter() - start
        print(f"{what}: {record['seconds'][what]:.3f} s, peak RAM {peak() / 1e9:.2f} GB", flush=True)
        return out

    with tempfile.TemporaryDirectory() as folder:
        place, pending = Path(folder) / "index", Path(folder) / "pending"
        made_up = [made_up_rows(n)]
        record["peak_bytes_before"] = peak()
        timed("write", lambda: write_index(place, made_up.pop(), _SALT, About()))
        record["peak_bytes_writing"] = peak()
        files = [place / name for name in file_names(Index(place, _SALT).n_parts)]
        record |= {"files": len(files), "bytes": sum(path.stat().st_size for path in files)}
        timed("digest of all files", lambda: list(map(file_digest, files)))
        index = Index(place, _SALT)
        timed("open", lambda: index.items)
        user = timed("rows of a user", lambda: index.rows_of_users(["user7"]))
        timed("rows of an item", lambda: index.rows_of_items(["item59000"]))
        timed("forget a user", lambda: rewrite(index, pending, Change(removed=user)))
        problems = timed("canonical check", lambda: index_problems(index, file_names(index.n_parts)))
        assert not problems, problems
        timed("all rows, part by part", lambda: sum(map(len, index.parts())))
        record["peak_bytes"] = peak()
    keep(given, record)


if __name__ == "__main__":
    main()
