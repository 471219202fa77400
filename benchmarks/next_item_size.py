"""APANext on catalogues of up to 100,000 items: seconds and memory of everything but the language model's passes.

    python -m benchmarks.next_item_size --items=100000 --users=400

Sequences and states are random (a chain of items with a long tail), as nothing here depends on what they say; a pass of
the language model over a history does not depend on the size of the catalogue. Seconds are of the processor.
"""

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from tabulate import tabulate
from torch import Tensor

from benchmarks.command import begin, command, keep
from recbole_apa.next_item.catalogue import Catalogue
from recbole_apa.next_item.counts import ItemCounts, scores_of
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.derive import derive
from recbole_apa.next_item.fit import counts_of, hashed_shard
from recbole_apa.next_item.heads import StateGrid, solve_head
from recbole_apa.next_item.options import read_settings
from recbole_apa.next_item.sequences import UserSequence
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import Learnt, NextItemState, SplitStates
from recbole_apa.next_item.user_rows import UserRows, sums_of

LENGTH, HIDDEN = 50, 576
"""Items of a history that are read, and the default backbone's hidden size."""
MIB = 1 << 20


def main() -> None:
    """Print the table of one size; the peak is the process's, so give each size a process of its own."""
    parser = command(__doc__, threads=1)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=400)
    parser.add_argument("--evidence", choices=["counts", "transitions", "none"], default="transitions")
    given = begin(parser)
    n_items, n_users = (300, 12) if given.small else (given.items, given.users)
    settings = read_settings({"evidence": given.evidence})
    data, rows = drawn(n_items, n_users)
    seconds: dict[str, float] = {}
    learnt = summed(data, rows, settings, seconds)
    with timed(seconds, "a head of a shard, s"):
        solve_head(learnt.sums[0], settings.head_ridge)
    grid = StateGrid(torch.zeros(HIDDEN, dtype=torch.float64), torch.ones(HIDDEN, dtype=torch.float64))
    with timed(seconds, "heads, weights and fusion, s"):
        state = derive(grid, learnt, data, settings, {})
    serve(state, data, seconds)
    record = {"items": n_items, "users": n_users, "evidence": given.evidence, **seconds, **sizes(state)}
    print(tabulate([[name, value] for name, value in record.items()], disable_numparse=True))
    keep(given, record)


def drawn(n_items: int, n_users: int) -> tuple[NextItemData, list[UserRows]]:
    """Users with two held-out items, and their states."""
    draw = torch.Generator().manual_seed(0)
    names = tuple(sorted(f"i{i}" for i in range(n_items)))
    follows = torch.randperm(n_items, generator=draw)
    sequences, rows = [], []
    for user in range(n_users):
        columns = sequence_of(follows, draw)
        sequence = UserSequence(f"u{user:06d}", tuple(names[column] for column in columns.tolist()))
        noise = torch.randn(LENGTH, HIDDEN, generator=draw)
        states = torch.cat([noise * 128, torch.full((LENGTH, 1), 128.0)], 1).round().to(torch.int16)
        sequences.append(sequence)
        rows.append(UserRows(sequence, states, columns[1 : LENGTH - 1]))
    return NextItemData(None, Catalogue(names, names), tuple(sequences)), rows  # type: ignore[arg-type]


def sequence_of(follows: Tensor, draw: torch.Generator) -> Tensor:
    """Half of the steps go to the item that follows, the others to one of a long tail: (LENGTH + 1,)."""
    n_items = len(follows)
    jumps = (n_items * torch.rand(LENGTH + 1, generator=draw) ** 3).long().clamp(max=n_items - 1)
    columns = [int(jumps[0])]
    for step in range(1, LENGTH + 1):
        stays = bool(torch.rand(1, generator=draw) < 0.5)
        columns.append(int(follows[columns[-1]]) if stays else int(jumps[step]))
    return torch.tensor(columns)


def summed(data: NextItemData, rows: list[UserRows], settings: NextItemSettings, seconds: dict[str, float]) -> Learnt:
    """As a training sums up, from the states on."""
    shard_of = {r.sequence.user: hashed_shard(r.sequence.user, settings) for r in rows}
    members = [[r for r in rows if shard_of[r.sequence.user] == k] for k in range(settings.n_shards)]
    with timed(seconds, "sums of all shards, s"):
        sums = tuple(sums_of(part, len(data.catalogue), HIDDEN + 1) for part in members)
    users = tuple(r.sequence.user for r in rows)
    with timed(seconds, "counts, s"):
        counts = counts_of(data, users, settings)
    valid = SplitStates(users, torch.stack([r.valid_state for r in rows]))
    test = SplitStates(users, torch.stack([r.test_state for r in rows]))
    return Learnt(shard_of, sums, counts, valid, test, {})


def serve(state: NextItemState, data: NextItemData, seconds: dict[str, float]) -> None:
    """Rank the whole catalogue for every user, and take the mean."""
    users = state.learnt.test.users
    histories = [data.columns(sequence)[:-1] for sequence in data.sequences]
    counts = None if state.learnt.counts is None else scores_of(state.learnt.counts)
    with timed(seconds, "ranking, s a user"):
        for row, user in enumerate(users):
            state.scores([user], state.learnt.test.states[row : row + 1], [histories[row]], counts).topk(10)
    seconds["ranking, s a user"] = round(seconds["ranking, s a user"] / len(users), 4)


def sizes(state: NextItemState) -> dict[str, float]:
    """MiB."""
    sums = sum(s.gram.nbytes + s.cross.nbytes for s in state.learnt.sums)
    counts = state.learnt.counts
    parts: tuple[Tensor, ...] = ()
    if counts is not None:
        parts = (counts.together, counts.followed) if isinstance(counts, ItemCounts) else (counts.pairs, counts.weights)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "sums, MiB": round(sums / MIB),
        "heads, MiB": round(state.heads.weights.nbytes / MIB),
        "counts, MiB": round(sum(part.nbytes for part in parts) / MIB, 1),
        "peak of the process, MiB": round(peak),
    }


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Add the processor's seconds of a block."""
    start = time.process_time()
    yield
    seconds[name] = round(time.process_time() - start, 2)


if __name__ == "__main__":
    main()
