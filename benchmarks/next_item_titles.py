"""Titles on a run of APANext: exact ranking, beams and speculation, in seconds, passes and quality.

    python -m benchmarks.next_item_titles --run=saved/APANext-ml-100k-... --users=40 --dtype=float32

The language model is frozen: nothing was trained for titles. Test targets of users drawn by a hash of their names;
history masked. Every search with a draft is compared with the same search without: list, scores, every bit. Seconds are
of this process's processor (``time.process_time``), so that neighbours do not count.
"""

import time
from collections import defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from recbole_apa.backbone.load import load_backbone
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.seeding import hash_order
from recbole_apa.next_item.generation import Found, HeadDraft, NodeChances, beam_search, best_first, rank_all
from recbole_apa.next_item.history_text import HistoryEncoder
from recbole_apa.next_item.ranking import RankedSplit, split_of
from recbole_apa.next_item.run.opened import NextItemRun, open_state
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.titles import TitleModel

TOP = 10
WIDTHS = (1, 5, 10, 20, 50)
DEPTH = 5
"""More decisions than a title has: a draft looks ahead to the end."""
_LEAST = 1e-6


@dataclass
class Tally:
    """What is summed up over users."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, value: float) -> None:
        """One user's value."""
        self.values[name].append(value)

    def mean(self, name: str) -> float:
        """The mean over users."""
        found = self.values[name]
        return sum(found) / len(found)


def main() -> None:
    """Measure, print, and keep the record."""
    parser = command(__doc__, threads=1)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--dtype", default="float32", help="of the backbone")
    given = begin(parser)
    run = open_state(NextItemStore(given.run))
    model = title_model(run, given.dtype)
    holds = model.keeps_bits()
    split, tally = split_of(run.data, "test"), Tally()
    users = sorted(hash_order([s.user for s in split.sequences], 0, "titles")[: given.users])
    for row in users:
        measure(run, model, split, row, tally)
    record = {"users": len(users), "dtype": given.dtype, "keeps_bits": holds, **about(model)}
    record["figures"] = {name: tally.mean(name) for name in sorted(tally.values)}
    print(f"{len(users)} users, {given.dtype}; this machine keeps bits: {holds}; {about(model)}")
    print(tables(tally))
    keep(given, record)


def title_model(run: NextItemRun, dtype: str) -> TitleModel:
    """The run's backbone in a type of its own."""
    backbone = load_backbone(replace(run.options.backbone, dtype=dtype), torch.device("cpu"))  # type: ignore[arg-type]
    return TitleModel(SplitDecoder(backbone.model, 0), HistoryEncoder(backbone.tokenizer), run.data.catalogue)


def about(model: TitleModel) -> dict[str, Any]:
    """The trie in numbers."""
    trie = model.trie
    below = {row for node in trie.branching for row in trie.path(node)}
    return {"nodes": len(trie), "branching": len(trie.branching), "rows_of_the_exact_ranking": len(below)}


def measure(run: NextItemRun, model: TitleModel, split: RankedSplit, row: int, tally: Tally) -> None:
    """All searches for one user."""
    sequence = split.sequences[row]
    texts = run.data.catalogue.texts_of(sequence.shown(run.options.settings.history_length))
    allowed = split.allowed[row]
    start = time.process_time()
    prompt = model.after(texts)
    tally.add("prompt seconds", time.process_time() - start)
    chances, start = prompt.fresh(), time.process_time()
    scores = rank_all(chances)
    tally.add("exact seconds", time.process_time() - start)
    _quality("exact", scores, split, row, tally)
    permitted: list[bool] = allowed.tolist()
    true, start = best_first(first := prompt.fresh(), TOP, permitted), time.process_time()
    tally.add("best-first passes", first.n_passes)
    ranked = torch.sort(scores.masked_fill(~allowed, float("-inf")), descending=True, stable=True).indices[:TOP]
    tally.add("best-first equals the exact ranking", float(_items(model, true) == ranked.tolist()))
    states = run.state.learnt.test.states[row][None]
    heads = run.state.head_scores([sequence.user], states)[0]
    _quality("head", heads, split, row, tally)
    _quality("head + titles", (heads.clamp(min=0) + 1e-3).log() + scores, split, row, tally)
    below = model.trie.sums_below((heads.clamp(min=0) + _LEAST).tolist())
    for width in WIDTHS:
        _beams(model, prompt, width, permitted, below, set(ranked.tolist()), tally)


def _beams(
    model: TitleModel,
    prompt: NodeChances,
    width: int,
    allowed: list[bool],
    below: list[float],
    true: set[int],
    tally: Tally,
) -> None:
    plain = prompt.fresh()
    start = time.process_time()
    expected = beam_search(plain, width, width, allowed)
    tally.add(f"{width}: seconds", time.process_time() - start)
    tally.add(f"{width}: passes", plain.n_passes)
    tally.add(f"{width}: rows", plain.n_rows)
    tally.add(f"{width}: of the true top", len(true & set(_items(model, expected))) / len(true))
    for times in (2, 4):
        ahead = prompt.fresh()
        draft = HeadDraft(model.trie, below, times * width, DEPTH)
        start = time.process_time()
        found = beam_search(ahead, width, width, allowed, draft)
        tally.add(f"{width}: seconds, {times}K", time.process_time() - start)
        tally.add(f"{width}: passes, {times}K", ahead.n_passes)
        tally.add(f"{width}: rows, {times}K", ahead.n_rows)
        tally.add(f"{width}: same list, {times}K", float(found == expected))


def _items(model: TitleModel, found: list[Found]) -> list[int]:
    return [model.trie.item_of[one.node] for one in found]


def _quality(name: str, scores: torch.Tensor, split: RankedSplit, row: int, tally: Tally) -> None:
    one = replace(split, sequences=split.sequences[row : row + 1], histories=split.histories[row : row + 1])
    rank = float(replace(one, targets=split.targets[row : row + 1]).ranks(scores[None])[0])
    tally.add(f"{name}: Recall@10", float(rank <= TOP))
    tally.add(f"{name}: NDCG@10", 1 / float(torch.log2(torch.tensor(1 + rank))) if rank <= TOP else 0.0)


def tables(tally: Tally) -> str:
    """What was measured, for a terminal."""
    single = [n for n in tally.values if ":" not in n]
    first = tabulate([[n, f"{tally.mean(n):.3f}"] for n in single])
    rows = ("exact", "head", "head + titles")
    measured = [[n, *(f"{tally.mean(f'{n}: {m}@10'):.4f}" for m in ("Recall", "NDCG"))] for n in rows]
    quality = tabulate(measured, ["", "Recall@10", "NDCG@10"])
    columns = ["seconds", "passes", "rows", "of the true top"]
    columns += [f"{name}, {t}K" for t in (2, 4) for name in ("seconds", "passes", "rows", "same list")]
    beams = [[width, *(f"{tally.mean(f'{width}: {name}'):.3f}" for name in columns)] for width in WIDTHS]
    return f"{first}\n\n{quality}\n\n{tabulate(beams, ['beams', *columns])}"


if __name__ == "__main__":
    main()
