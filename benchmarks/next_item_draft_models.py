"""Size and learning rate of draft models, judged on validation rows.

    python -m benchmarks.next_item_draft_models --dataset=ml-100k --kept=models.jsonl

Of each shard a model is trained on what the shard's users chose, as ``draft_kind: model`` does before any alignment; no
language model is needed. Their chances of items, merged alike, rank the validation targets, with the mask that all rows
of APANext have. With ``--kept`` what was measured before is not measured again.
"""

import time
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import torch
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from benchmarks.kept_values import KeptValues
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.next_item.data import NextItemData, read_next_data
from recbole_apa.next_item.draft_model import train_network
from recbole_apa.next_item.fit import hashed_shard
from recbole_apa.next_item.generation.item_network import ItemNetwork
from recbole_apa.next_item.options import read_options
from recbole_apa.next_item.ranking import split_of
from recbole_apa.next_item.run.title_rows import shown_columns
from recbole_apa.next_item.sequences import targets_of
from recbole_apa.next_item.sequential.training import ndcg
from recbole_apa.next_item.settings import NextItemSettings

SIZES, RATES = (16, 32, 64), (3e-4, 1e-3, 3e-3)


def main() -> None:
    """Train, judge, print, and keep the record."""
    parser = command(__doc__, threads=1)
    parser.add_argument("--dataset", default="ml-100k")
    parser.add_argument("--n_shards", type=int, default=4)
    parser.add_argument("--kept", type=Path, help="a file of what was measured, one a line; new ones are added")
    parser.add_argument("--data_path", help="where the dataset's folder is; default: RecBole's")
    given = begin(parser)
    changes = {"n_shards": given.n_shards, **({"data_path": given.data_path} if given.data_path else {})}
    options = read_options(given.dataset, given=changes)
    data = read_next_data(options.data, options.stem, VisibleData())
    lines, commits = [], set[str]()
    for size, rate in product(SIZES, RATES):
        told = replace(options.settings, adapters="titles", draft_kind="model", draft_model_size=size)
        told = replace(told, draft_model_learning_rate=rate)
        kept = KeptValues(given.kept, f"{given.dataset} {data.catalogue.digest} {told.plain()}")
        name = f"{size}, {rate:g}"
        values = kept.get(name, partial(judged, data, told))
        commits |= set(kept.measured_on)
        lines.append([name, *(f"{values[column][0]:.4f}" for column in ("NDCG@10", "one shard's", "nats", "seconds"))])
    print(tabulate(lines, ["size, rate", "NDCG@10", "one shard's", "nats", "seconds"], disable_numparse=True))
    about = {"dataset": given.dataset, "n_shards": given.n_shards, "measured_on": sorted(commits)}
    keep(given, {**about, "figures": lines})


def judged(data: NextItemData, settings: NextItemSettings) -> dict[str, list[float]]:
    """What models of some settings give on validation rows: merged alike, the first shard's alone, the nats of a target
    by the merged ones, and the seconds of this process's processor that training took."""
    start = time.process_time()
    networks = [trained_network(data, shard, settings) for shard in range(settings.n_shards)]
    seconds, split = time.process_time() - start, split_of(data, "valid")
    each = torch.zeros(len(networks), len(split.targets), len(data.catalogue), dtype=torch.float64)
    for row in range(len(split.targets)):
        columns = shown_columns(split, row, data, settings.history_length)
        for shard, network in enumerate(networks):
            each[shard, row] = network.chances(columns)
    merged = each.mean(0)
    nats = -merged.gather(1, split.targets[:, None]).log().mean()
    figures = {"NDCG@10": ndcg(split, merged), "one shard's": ndcg(split, each[0]), "nats": float(nats)}
    return {name: [value] for name, value in {**figures, "seconds": seconds}.items()}


def trained_network(data: NextItemData, shard: int, settings: NextItemSettings) -> ItemNetwork:
    """A shard's model, of users divided by a hash of their names."""
    chosen = {}
    for sequence in data.sequences:
        shown = sequence.shown(settings.history_length)
        n_targets = len(targets_of(shown, sequence.n_held_out))
        if n_targets and hashed_shard(sequence.user, settings) == shard:
            chosen[sequence.user] = tuple(data.catalogue.columns(shown))[: n_targets + 1]
    network = ItemNetwork(len(data.catalogue), settings.history_length, settings.draft_model_size, settings.seed)
    train_network(network, chosen, shard, settings)
    return network


if __name__ == "__main__":
    main()
