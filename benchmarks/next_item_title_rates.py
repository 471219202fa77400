"""Batch, learning rate and epochs of adapters for titles: what they say of users who taught them nothing.

    python -m benchmarks.next_item_title_rates --dataset=ml-100k --kept=benchmarks/results/next_item_title_rates.jsonl

A fifth of one shard's users, drawn by a hash of their names, is left out; an adapter learns from the others, and is
judged on the training targets of those who were left out: nats a target, of the exact chances over the catalogue. No
validation or test target is looked at. Where all items are equally likely it is the logarithm of their number. With
``--kept`` what was measured before is not measured again. Other ``--option=value`` arguments go to APANext.
"""

import argparse
import logging
import math
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import torch
from tabulate import tabulate
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.kept_values import KeptValues
from recbole_apa.cli.main import parse_arguments
from recbole_apa.core.seeding import hash_order
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.next_item.backbone_states import HistoryStates
from recbole_apa.next_item.data import NextItemData, read_next_data
from recbole_apa.next_item.fit import hashed_shard
from recbole_apa.next_item.generation.draft_rows import DraftRows
from recbole_apa.next_item.identifiers import codes_of
from recbole_apa.next_item.options import NextItemOptions, read_options
from recbole_apa.next_item.run.opened import load_states
from recbole_apa.next_item.sequences import n_targets
from recbole_apa.next_item.title_training import TitleTrainer
from recbole_apa.next_item.user_rows import public_grid

CASES = ((4, 2e-3, 1), (1, 3e-4, 1), (1, 1e-3, 1), (1, 2e-3, 1), (1, 1e-3, 3), (1, 2e-3, 3))
"""Users of a step, peak rate, epochs."""


class Judge:
    """One shard's users, divided."""

    def __init__(self, options: NextItemOptions, data: NextItemData, shard: int) -> None:
        self.options, self.data, self.shard = options, data, shard
        own = [s for s in data.sequences if hashed_shard(s.user, options.settings) == shard]
        held = set(hash_order([s.user for s in own], 0, "held out of titles")[: len(own) // 5])
        self.held = [s for i, s in enumerate(own) if i in held]
        self.taught = [s for i, s in enumerate(own) if i not in held]
        self.states: HistoryStates = load_states(options)[0]
        self.codes = codes_of(self.states, data.catalogue, public_grid(self.states, data.catalogue), options.settings)

    def values(self, case: tuple[int, float, int]) -> dict[str, list[float]]:
        """Nats a target, and the processor's seconds of the training."""
        batch, rate, epochs = case
        settings = replace(
            self.options.settings, adapter_batch=batch, adapter_learning_rate=rate, adapter_epochs=epochs
        )
        trainer = TitleTrainer(self.states, self.data.catalogue, settings, self.codes)
        start = time.process_time()
        pairs = trainer(self.shard, self.taught).pairs
        seconds = time.process_time() - start
        return {"nats": [self.nats(trainer, pairs)], "seconds": [round(seconds, 1)]}

    def nats(self, trainer: TitleTrainer, pairs: Mapping[str, tuple[Tensor, ...]]) -> float:
        """A target, of the users who were left out."""
        rows = DraftRows.together(trainer.lesson(self.held, pairs).choices)
        places = defaultdict[int, list[int]](list)
        for at, node in enumerate(rows.nodes):
            places[node].append(at)
        lost = 0.0
        for node, own in places.items():
            chosen = torch.tensor([next(iter(rows.taken[at])) for at in own])
            lost += float(cross_entropy(trainer.logits(rows.final[own], node).float(), chosen, reduction="sum"))
        length = self.options.settings.history_length
        return lost / sum(n_targets(sequence, length, all_rows=False) for sequence in self.held)


def _about(options: NextItemOptions, data: NextItemData, shard: int) -> str:
    """What decides the values, besides the case."""
    fixed = replace(
        options.settings, adapter_batch=1, adapter_learning_rate=1.0, adapter_epochs=1, title_users=0, head_ridge=1.0
    )
    told = {name: value for name, value in fixed.plain().items() if not name.startswith("draft_")}
    return f"{data.catalogue.digest} {options.backbone.backbone} shard {shard} {told}"


def _values(judge: Callable[[], Judge], case: tuple[int, float, int]) -> dict[str, list[float]]:
    return judge().values(case)


def main() -> None:
    """Train, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--kept", type=Path, help="a file of what was measured, one adapter a line; new ones are added")
    parser.add_argument("--threads", type=int, default=1)
    given, further = parser.parse_known_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(given.threads)
    told = {"adapters": "titles", "show_progress": False, **parse_arguments(further)}
    options = read_options(given.dataset, given=told)
    data = read_next_data(options.data, options.stem, VisibleData())
    kept = KeptValues(given.kept, _about(options, data, given.shard))
    judge = cache(lambda: Judge(options, data, given.shard))
    lines = []
    for case in CASES:
        name = ", ".join(f"{part:g}" for part in case)
        values = kept.get(name, partial(_values, judge, case))
        print(name, values, flush=True)
        lines.append([*map("{:g}".format, case), f"{values['nats'][0]:.3f}", f"{values['seconds'][0]:.0f}"])
    print(f"nats of {len(data.catalogue)} items alike: {math.log(len(data.catalogue)):.3f}")
    print(tabulate(lines, ["users a step", "rate", "epochs", "nats a target", "s"], disable_numparse=True))
    print(f"measured on {', '.join(kept.measured_on)}")


if __name__ == "__main__":
    main()
