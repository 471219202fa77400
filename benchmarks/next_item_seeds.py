"""APANext beside RecBole's models over several seeds: means and standard deviations.

    python -m benchmarks.next_item_seeds --dataset=ml-100k --out=benchmarks/results/next_item_seeds.jsonl \
        --compare=Pop,ItemKNN,EASE,BPR,LightGCN,SASRec,GRU4Rec

A seed decides which users a shard has, and how RecBole's models start; the frozen language model's states are the same
for all seeds and are read once. A row of a seed that ``--out`` has is not computed again. Other ``--option=value``
arguments go to APANext.
"""

import argparse
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import torch
from tabulate import tabulate

from benchmarks.protocol import commit
from benchmarks.resumed import Row, go_on, kept_rows
from recbole_apa.cli.main import parse_arguments
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.next_item.data import NextItemData, read_next_data
from recbole_apa.next_item.fit import fit
from recbole_apa.next_item.options import NextItemOptions, read_options
from recbole_apa.next_item.run.baselines import add_baselines
from recbole_apa.next_item.run.figures import figures_of, own_rows
from recbole_apa.next_item.run.opened import NextItemRun, load_states
from recbole_apa.next_item.sequences import UserSequence
from recbole_apa.next_item.state import NextItemState
from recbole_apa.next_item.user_rows import RowReader, UserRows

OWN = "APANext"
DECIDE = (
    "history_length",
    "n_shards",
    "partition",
    "head_ridge",
    "head_rows",
    "tau",
    "n_neighbors",
    "evidence",
    "seed",
)
"""Options of APANext that change a row; those of adapters do not."""
SHOWN = ("test.recall@10", "test.ndcg@10", "test.mrr@10", "valid.ndcg@10")


class OnceRead(RowReader):
    """A reader that makes each user's passes once, for all seeds."""

    def __init__(self, reader: RowReader) -> None:
        super().__init__(reader.states, reader.catalogue, reader.grid)
        self._known: list[UserRows] = []

    def read(
        self, sequences: Sequence[UserSequence], all_rows: bool, step: Callable[[int], None] = lambda n: None
    ) -> Iterator[UserRows]:
        """Of all users, always in the same order."""
        self._known = self._known or list(super().read(sequences, all_rows, step))
        assert [rows.sequence for rows in self._known] == list(sequences)
        return iter(self._known)


class Seeds:
    """Rows of one dataset, seed by seed."""

    def __init__(self, options: NextItemOptions) -> None:
        self.options = options
        self.data: NextItemData = read_next_data(options.data, options.stem, VisibleData())
        self._reader: OnceRead | None = None

    def of_model(self, change: str, told: tuple[int, str]) -> Row:
        """The figures of a model, or of all rows of APANext, with one seed."""
        seed, model = told
        options = self._with(seed)
        start = time.process_time()
        figures = self._own(options) if model == OWN else self._baseline(options, model)
        return {
            "change": change,
            "seed": seed,
            "commit": commit(),
            "settings": options.settings.plain(),
            "processor_seconds": round(time.process_time() - start, 1),
            "figures": figures,
        }

    def deciding(self, seed: int) -> dict[str, object]:
        """The options that decide a seed's rows."""
        told = self._with(seed).settings.plain()
        return {name: told[name] for name in DECIDE}

    def _with(self, seed: int) -> NextItemOptions:
        return replace(self.options, settings=replace(self.options.settings, seed=seed))

    def _own(self, options: NextItemOptions) -> dict[str, dict[str, float]]:
        state = self._state(options)
        return figures_of(options, self.data, own_rows(state, self.data, options.settings.head_ridge))

    def _state(self, options: NextItemOptions) -> NextItemState:
        if self._reader is None:
            states, _ = load_states(options)
            self._reader = OnceRead(RowReader(states, self.data.catalogue))
        return fit(self.data, self._reader, options.settings)

    def _baseline(self, options: NextItemOptions, model: str) -> dict[str, dict[str, float]]:
        run = NextItemRun(options, self.data, cast("NextItemState", None), None)
        add_baselines(run, [model])
        return run.figures


def summary(rows: Sequence[Row]) -> list[list[str]]:
    """Row, number of seeds, mean and standard deviation of each figure."""
    found: dict[str, list[dict[str, float]]] = {}
    for row in rows:
        for title, figures in row["figures"].items():
            found.setdefault(title, []).append(figures)
    return [
        [title, str(len(each)), *(_told([one[name] for one in each]) for name in SHOWN)]
        for title, each in found.items()
    ]


def _told(values: Sequence[float]) -> str:
    spread = f" ± {np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
    return f"{np.mean(values):.4f}{spread}"


def main() -> None:
    """Measure what is missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--compare", default="")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    given, further = parser.parse_known_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(given.threads)
    measured = Seeds(read_options(given.dataset, given=parse_arguments(further)))
    first = measured.options.settings.seed
    models = [OWN, *(name for name in given.compare.split(",") if name)]
    asked = {f"{model}, seed {seed}": (seed, model) for model in models for seed in range(first, first + given.seeds)}
    kept = [row for row in kept_rows(given.out) if row["change"] in asked]
    for row in kept:
        if any(row["settings"][name] != value for name, value in measured.deciding(row["seed"]).items()):
            parser.error(f"{given.out} has {row['change']} with other options; expected another --out for these")
    rows = go_on(given.out, kept, asked, measured.of_model)
    print(tabulate(summary(rows), ["row", "seeds", *SHOWN], tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
