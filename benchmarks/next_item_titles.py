"""Titles on a run of APANext: exact ranking, beams and speculation, in seconds, passes and quality.

    python -m benchmarks.next_item_titles --run=saved/APANext-ml-100k-... --users=40 --dtype=float32 --kept=titles.jsonl

On a run with ``adapters: titles`` or ``codes`` each user's are written with his merged adapters, else titles by the
frozen language model. Test targets of users drawn by a hash of their names; history masked. Every search for the best
with a draft is compared with the same search without: list, scores, every bit. Then beams are drawn instead, once
plainly, once with exact rejection and once as AtSpeed relaxes it. Seconds are of this process's processor
(``time.process_time``), so that neighbours do not count. With ``--kept`` users that were measured before are not
measured again.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import torch
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from benchmarks.kept_values import KeptValues
from recbole_apa.backbone.load import load_backbone
from recbole_apa.backbone.split_decoder import SplitDecoder
from recbole_apa.core.seeding import hash_order
from recbole_apa.next_item.generation import (
    BeamDraft,
    Guess,
    HeadGuess,
    NodeChances,
    Rule,
    SampledDraft,
    beam_search,
    best_first,
    exact_rejection,
    rank_all,
    relaxed,
    sampled_beams,
)
from recbole_apa.next_item.history_text import HistoryEncoder
from recbole_apa.next_item.merged_titles import MergedTitles
from recbole_apa.next_item.ranking import RankedSplit, split_of
from recbole_apa.next_item.run.opened import NextItemRun, open_state
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.titles import TitleModel
from recbole_apa.runs.manifest import CHECK

TOP = 10
WIDTHS = (1, 5, 10, 20, 50)
DEPTH = 5
"""More decisions than a title has: a draft looks ahead to the end."""
DRAFTS = (("head", 2), ("head", 4), ("early exit", 2), ("model", 2), ("frozen", 2))
"""What drafts, and how many beams it has for each of the search's. All but the head need adapters: without them the
target is the frozen model. A run has an early exit or a draft model of its own, by its option ``draft_kind``."""
RULES: tuple[tuple[str, Rule | None], ...] = (("plain", None), ("exact", exact_rejection), ("relaxed", relaxed))
DRAWN = 10
"""Beams that are drawn."""
_LEAST = 1e-6


@dataclass
class Tally:
    """What is averaged over users."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, value: float) -> None:
        """One user's value."""
        self.values[name].append(value)

    def mean(self, name: str) -> float:
        """The mean over users."""
        found = self.values[name]
        return sum(found) / len(found)


@dataclass(frozen=True)
class Reader:
    """The run with its backbone in a type of its own."""

    run: NextItemRun
    model: TitleModel
    merged: MergedTitles | None
    """None on a run without adapters."""
    split: RankedSplit
    n_layers: int

    @classmethod
    def of(cls, run: NextItemRun, dtype: str) -> "Reader":
        """Load the backbone."""
        settings = replace(run.options.backbone, dtype=dtype)  # type: ignore[arg-type]
        backbone = load_backbone(settings, torch.device("cpu"))
        decoder = SplitDecoder(backbone.model, 0)
        encoder = HistoryEncoder(backbone.tokenizer)
        model = TitleModel(decoder, encoder, run.data.catalogue, run.state.codes)
        n_below = decoder.n_layers - run.options.settings.adapter_layers
        merged = MergedTitles(model, run.state, n_below) if run.state.learnt.adapters else None
        return cls(run, model, merged, split_of(run.data, "test"), decoder.n_layers)

    def after(self, row: int) -> tuple[NodeChances, dict[str, Guess]]:
        """After a user's history: the target, and the models that may guess at it."""
        sequence = self.split.sequences[row]
        columns = self.run.data.catalogue.columns(sequence.shown(self.run.options.settings.history_length))
        if self.merged is None:
            return self.model.after(columns), {}
        state = self.run.state.learnt.test.states[row]
        of_user = self.merged.of(sequence.user, state)
        if self.run.options.settings.draft_kind == "model":
            guess = self.merged.drafted(sequence.user, state, columns)
            return of_user.after(columns), {"model": guess, "frozen": self.model.after(columns)}
        target, early = of_user.after_with_exit(columns)
        return target, {"early exit": early, "frozen": self.model.after(columns)}

    def heads(self, row: int) -> torch.Tensor:
        """What a user's merged heads say of all items, (m,)."""
        state = self.run.state
        return state.head_scores([self.split.sequences[row].user], state.learnt.test.states[row][None])[0]

    def head_guess(self, row: int) -> HeadGuess:
        """A draft of them."""
        below = self.model.trie.sums_below((self.heads(row).clamp(min=0) + _LEAST).tolist())
        return HeadGuess(self.model.trie, below)


def main() -> None:
    """Measure, print, and keep the record."""
    parser = command(__doc__, threads=1)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--users", type=int, default=40)
    parser.add_argument("--dtype", default="float32", help="of the backbone")
    parser.add_argument("--kept", type=Path, help="a file of users that were measured, one a line; new ones are added")
    given = begin(parser)
    store = NextItemStore(given.run)
    run, tally = open_state(store), Tally()
    if run.later:
        parser.error(f"{run.later}; expected a run that is whole")
    reader = Reader.of(run, given.dtype)
    holds = reader.model.keeps_bits()
    users = sorted(hash_order([s.user for s in reader.split.sequences], 0, "titles")[: given.users])
    kept = KeptValues(given.kept, f"{store.manifest()[CHECK]} {given.dtype}")
    for row in users:
        for name, values in kept.get(row, partial(measured, reader, row)).items():
            for value in values:
                tally.add(name, value)
    record = {"users": len(users), "dtype": given.dtype, "keeps_bits": holds, **about(reader.model)}
    record |= {"adapters": reader.merged is not None, "measured_on": kept.measured_on}
    record["figures"] = {name: tally.mean(name) for name in sorted(tally.values)}
    print(f"{len(users)} users, {given.dtype}; this machine keeps bits: {holds}; {about(reader.model)}")
    print(tables(tally, quality_rows(reader.model)))
    keep(given, record)


def measured(reader: Reader, row: int) -> dict[str, list[float]]:
    """One user's values."""
    tally = Tally()
    measure(reader, row, tally)
    return dict(tally.values)


def about(model: TitleModel) -> dict[str, Any]:
    """The trie in numbers."""
    trie = model.trie
    below = {row for node in trie.branching for row in trie.path(node)}
    return {"nodes": len(trie), "branching": len(trie.branching), "rows_of_the_exact_ranking": len(below)}


def measure(reader: Reader, row: int, tally: Tally) -> None:
    """All searches for one user."""
    split = reader.split
    allowed = split.allowed[row]
    start = time.process_time()
    target, others = reader.after(row)
    tally.add("prompt seconds, of all models", time.process_time() - start)
    chances, start = target.fresh(), time.process_time()
    scores = rank_all(chances)
    tally.add("exact seconds", time.process_time() - start)
    permitted: list[bool] = allowed.tolist()
    true = best_first(first := target.fresh(), TOP, permitted)
    tally.add("best-first passes", first.n_passes)
    ranked = torch.sort(scores.masked_fill(~allowed, float("-inf")), descending=True, stable=True).indices[:TOP]
    found = [reader.model.trie.item_of[one.node] for one in true]
    tally.add("best-first equals the exact ranking", float(found == ranked.tolist()))
    heads = reader.heads(row)
    both = (heads.clamp(min=0) + 1e-3).log() + scores
    for name, of_row in zip(quality_rows(reader.model), (scores, heads, both), strict=True):
        _quality(name, of_row, split, row, tally)
    guesses: dict[str, Guess] = {"head": reader.head_guess(row), **others}
    for width in WIDTHS:
        _beams(target, guesses, width, permitted, set(ranked.tolist()), tally)
    _drawn(target, guesses, permitted, row, int(split.targets[row]), tally)


def fresh(guess: Guess) -> Guess:
    """A guess that has read nothing yet."""
    return guess.fresh() if isinstance(guess, NodeChances) else guess


def _beams(
    target: NodeChances, guesses: dict[str, Guess], width: int, allowed: list[bool], true: set[int], tally: Tally
) -> None:
    """Beams for the best, plain and with each draft."""
    trie, plain = target.trie, target.fresh()
    start = time.process_time()
    expected = beam_search(plain, width, width, allowed)
    tally.add(f"{width}: seconds", time.process_time() - start)
    tally.add(f"{width}: passes", plain.n_passes)
    tally.add(f"{width}: rows", plain.n_rows)
    tally.add(f"{width}: of the true top", len(true & {trie.item_of[one.node] for one in expected}) / len(true))
    for name, times in DRAFTS:
        if name not in guesses:
            continue
        ahead = target.fresh()
        draft = BeamDraft(trie, fresh(guesses[name]), times * width, DEPTH)
        start = time.process_time()
        found = beam_search(ahead, width, width, allowed, draft)
        tally.add(f"{width}: seconds, {name} {times}K", time.process_time() - start)
        tally.add(f"{width}: passes, {name} {times}K", ahead.n_passes)
        tally.add(f"{width}: rows, {name} {times}K", ahead.n_rows)
        tally.add(f"{width}: same list, {name} {times}K", float(found == expected))


def _drawn(
    target: NodeChances, guesses: dict[str, Guess], allowed: list[bool], row: int, item: int, tally: Tally
) -> None:
    """Beams that are drawn: passes, and whether the target is among them."""
    trie = target.trie
    for name, guess in guesses.items():
        for title, rule in RULES:
            if rule is None and name != "head":
                continue  # plain sampling has no draft
            chances, label = target.fresh(), title if rule is None else f"{title}, {name}"
            draft = None if rule is None else SampledDraft(trie, fresh(guess), 2 * DRAWN, DEPTH)
            start = time.process_time()
            beams = sampled_beams(chances, DRAWN, allowed, Random(row), draft, rule or exact_rejection)
            tally.add(f"drawn, {label}: seconds", time.process_time() - start)
            tally.add(f"drawn, {label}: passes", chances.n_passes)
            tally.add(f"drawn, {label}: rows", chances.n_rows)
            found = [trie.item_of[node] for _, node in beams]
            gain = 1 / float(torch.log2(torch.tensor(2.0 + found.index(item)))) if item in found else 0.0
            tally.add(f"drawn, {label}: NDCG@10", gain)


def _quality(name: str, scores: torch.Tensor, split: RankedSplit, row: int, tally: Tally) -> None:
    one = replace(split, sequences=split.sequences[row : row + 1], histories=split.histories[row : row + 1])
    rank = float(replace(one, targets=split.targets[row : row + 1]).ranks(scores[None])[0])
    tally.add(f"{name}: Recall@10", float(rank <= TOP))
    tally.add(f"{name}: NDCG@10", 1 / float(torch.log2(torch.tensor(1 + rank))) if rank <= TOP else 0.0)


def quality_rows(model: TitleModel) -> tuple[str, str, str]:
    """Of what is written, of the heads, and of both."""
    written = model.identifiers.name
    return written, "heads", f"{written} + heads"


def tables(tally: Tally, rows: Sequence[str]) -> str:
    """What was measured, for a terminal.

    Args:
        rows: of quality.
    """
    single = [n for n in tally.values if ":" not in n]
    first = tabulate([[n, f"{tally.mean(n):.3f}"] for n in single])
    measured = [[n, *(f"{tally.mean(f'{n}: {m}@10'):.4f}" for m in ("Recall", "NDCG"))] for n in rows]
    quality = tabulate(measured, ["", "Recall@10", "NDCG@10"])
    columns = ["seconds", "passes", "rows"]
    lines = []
    for width in WIDTHS:
        top = f"{tally.mean(f'{width}: of the true top'):.3f}"
        lines.append([width, "plain", *(f"{tally.mean(f'{width}: {c}'):.3f}" for c in columns), "", top])
        for draft in (f"{name} {times}K" for name, times in DRAFTS):
            if f"{width}: passes, {draft}" in tally.values:
                told = (f"{tally.mean(f'{width}: {c}, {draft}'):.3f}" for c in (*columns, "same list"))
                lines.append([width, draft, *told, ""])
    beams = tabulate(lines, ["beams", "draft", *columns, "same list", "of the true top"])
    labels = sorted({name.partition(":")[0] for name in tally.values if name.startswith("drawn")})
    drawn = [[n, *(f"{tally.mean(f'{n}: {c}'):.3f}" for c in (*columns, "NDCG@10"))] for n in labels]
    return f"{first}\n\n{quality}\n\n{beams}\n\n{tabulate(drawn, [f'{DRAWN} beams', *columns, 'NDCG@10'])}"


if __name__ == "__main__":
    main()
