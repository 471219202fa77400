"""Product-quantised heads beside the full ones of APANext, on a catalogue of 100,000 items: memory, seconds, recall@10.

    python -m benchmarks.next_item_quantised --items=100000 --users=2000

A shard's head is cut into parts of a few numbers; each part of an item's row is replaced by the nearest of 256 centres,
found by k-means on the parts of that head alone, in whole numbers. So a quantised head depends on its shard's sums and
on nothing else, and would be made again with them: nothing is fitted over all users. An item without a training row
keeps its zeros.

Made data, in which there is something to learn: items have 16 hidden numbers, a user's taste follows the items chosen,
the next item is the best match of some that a long tail offers, and a state shows the taste with noise. Seconds are of
the processor. This head is not served; APANext has full heads.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor

from benchmarks.command import begin, command, keep
from benchmarks.next_item_size import LENGTH, MIB, timed
from recbole_apa.core.seeding import derive_seed, generator_for
from recbole_apa.next_item.generation.residual_kmeans import nearest, whole_kmeans
from recbole_apa.next_item.heads import HeadSums, solve_head
from recbole_apa.next_item.heads.grid import as_numbers

HIDDEN, LATENT, OFFERED = 576, 16, 50
"""Sizes of a state and of what is behind it, and how many items a user looks at before each choice."""
SIZE, FITTED_ON, FINE = 256, 8192, 4096
"""Centres of a part, rows that they are fitted on, and the greatest whole number that a row is rounded to."""
RIDGE, TOP = 0.3, 10


@dataclass(frozen=True)
class QuantisedHead:
    """One shard's.

    Shapes: m items, p parts of w numbers.
    """

    codes: Tensor
    """Which centre stands for each part of an item's row, (p, m), uint8."""
    centres: Tensor
    """(p, 256 or fewer, w), float64; the first is zero."""
    intercepts: Tensor
    """(m,), float32."""

    @classmethod
    def of(cls, head: Tensor, n_parts: int, seed: int) -> "QuantisedHead":
        """
        Args:
            head: (m, p w + 1), float64.
        """
        rows = head[:, :-1]
        chosen = rows.any(1).nonzero()[:, 0]
        drawn = torch.randperm(len(chosen), generator=generator_for(seed, "quantised head"))[:FITTED_ON]
        scale = FINE / float(rows.abs().max().clamp(min=1e-12))
        codes, centres = [], []
        for part, of_part in enumerate(rows.chunk(n_parts, 1)):
            whole = (of_part * scale).round()
            found = whole_kmeans(whole[chosen[drawn]], SIZE - 1, Random(derive_seed(seed, "part", part)))
            books = torch.cat([torch.zeros_like(found[:1]), found])
            codes.append(torch.cat([nearest(some, books) for some in whole.split(1 << 14)]).to(torch.uint8))
            centres.append(torch.cat([books, books[:1].expand(SIZE - len(books), -1)]) / scale)
        return cls(torch.stack(codes), torch.stack(centres), head[:, -1].float())

    def scores(self, x: Tensor) -> Tensor:
        """What the head says after one state: (p w + 1,) -> (m,), float64."""
        table = (self.centres * x[:-1].view(len(self.centres), 1, -1)).sum(2)  # (p, 256)
        out = self.intercepts.double() * x[-1]
        for of_part, own in zip(table, self.codes, strict=True):
            out += of_part[own.int()]
        return out

    @property
    def n_bytes(self) -> int:
        """Of all parts."""
        return self.codes.nbytes + self.centres.nbytes + self.intercepts.nbytes


def main() -> None:
    """Print the table, and keep the record."""
    parser = command(__doc__, threads=1)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--tested", type=int, default=400, help="users whose last item is ranked")
    parser.add_argument("--parts", type=int, nargs="+", default=[36, 72, 144], help="of a row; divisors of 576")
    given = begin(parser)
    n_items, n_users, tested = (500, 40, 10) if given.small else (given.items, given.users, given.tested)
    states, targets = drawn(n_items, n_users)
    heads = solved(states, targets, n_items, given.shards)
    x, last = as_numbers(states[:tested, -1]), targets[:tested, -1]
    full = torch.zeros(tested, TOP, dtype=torch.int64)
    seconds: dict[str, float] = {}
    with timed(seconds, "ranking"):
        for row in range(tested):
            full[row] = sum(head @ x[row] for head in heads).topk(TOP).indices  # type: ignore[union-attr]
    lines = [line("full", sum(head.nbytes for head in heads), 0.0, seconds["ranking"], full, full, last)]
    for n_parts in given.parts:
        lines.append(quantised_line(heads, n_parts, x, full, last))
    record = {"items": n_items, "users": n_users, "shards": given.shards, "tested": tested, "rows": lines}
    print(tabulate(lines, headers="keys", disable_numparse=True))
    print(
        f"{sum(bool(part) for part in heads[0].any(1).tolist())} items have rows in the first of {given.shards} shards"
    )
    keep(given, record)


def quantised_line(heads: Sequence[Tensor], n_parts: int, x: Tensor, full: Tensor, last: Tensor) -> dict[str, Any]:
    """Heads of one number of parts, made and judged."""
    seconds: dict[str, float] = {}
    with timed(seconds, "making"):
        made = [QuantisedHead.of(head, n_parts, seed=0) for head in heads]
    top = torch.zeros_like(full)
    with timed(seconds, "ranking"):
        for row in range(len(x)):
            top[row] = torch.stack([head.scores(x[row]) for head in made]).sum(0).topk(TOP).indices
    n_bytes = sum(head.n_bytes for head in made)
    return line(f"{n_parts} parts", n_bytes, seconds["making"] / len(heads), seconds["ranking"], top, full, last)


def line(
    name: str, n_bytes: int, making: float, ranking: float, top: Tensor, full: Tensor, last: Tensor
) -> dict[str, Any]:
    """One line of the table.

    Args:
        top, full: the ten best of these heads and of the full ones, (users, 10).
        last: targets, (users,).
    """
    same = (top[:, :, None] == full[:, None]).any(2).double().mean()
    return {
        "head": name,
        "MiB": round(n_bytes / MIB, 1),
        "making, s a shard": round(making, 1),
        "ranking, s a user": round(ranking / len(top), 4),
        "recall@10": round(float((top == last[:, None]).any(1).double().mean()), 4),
        "of the full ten": round(float(same), 4),
    }


def drawn(n_items: int, n_users: int) -> tuple[Tensor, Tensor]:
    """States on the grid before each choice, (users, 50, d + 1), int16, and the choices, (users, 50)."""
    draw = torch.Generator().manual_seed(0)
    behind = torch.randn(n_items, LATENT, generator=draw)
    shown = torch.randn(LATENT, HIDDEN, generator=draw) / LATENT**0.5
    taste = torch.randn(n_users, LATENT, generator=draw)
    states, targets = [], []
    for _ in range(LENGTH):
        noise = torch.randn(n_users, HIDDEN, generator=draw)
        seen = (taste @ shown + 0.5 * noise) * 128
        states.append(torch.cat([seen, torch.full((n_users, 1), 128.0)], 1).round().clamp(-4096, 4096).to(torch.int16))
        offered = (n_items * torch.rand(n_users, OFFERED, generator=draw) ** 3).long().clamp(max=n_items - 1)
        best = (behind[offered] * taste[:, None]).sum(2).argmax(1)
        targets.append(offered[torch.arange(n_users), best])
        taste = 0.8 * taste + 0.6 * behind[targets[-1]]
    return torch.stack(states, 1), torch.stack(targets, 1)


def solved(states: Tensor, targets: Tensor, n_items: int, n_shards: int) -> list[Tensor]:
    """Full heads of shards; a user's last choice is not learnt."""
    heads = []
    for shard in range(n_shards):
        own = slice(shard, None, n_shards)
        rows, of_rows = states[own, :-1].flatten(0, 1), targets[own, :-1].flatten()
        heads.append(solve_head(HeadSums.of(rows, of_rows, n_items), RIDGE))
    return heads


if __name__ == "__main__":
    main()
