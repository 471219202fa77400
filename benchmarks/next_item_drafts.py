"""Drafts of a run of APANext, aligned by each of AtSpeed's objectives: how many steps of a search they save.

    python -m benchmarks.next_item_drafts --run=saved/APANext-ml-100k-... --users=20 --dtype=float32

For a run with ``adapters: titles``. Each shard's draft is trained once by every objective, with the run's own options
of drafts, on the shard's users and adapter; nothing is written. Then test users, drawn by a hash of their names, are
searched for with merged adapters and drafts: beams for the best with strict verification (the list is compared with
that of the search without a draft), and drawn beams. A search without a draft needs one pass a step after the first; a
step is accepted if its pass is saved.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from tabulate import tabulate
from torch import Tensor

from benchmarks.command import begin, command, keep
from benchmarks.next_item_titles import DEPTH, DRAWN, Reader, Tally, fresh
from recbole_apa.core.seeding import hash_order
from recbole_apa.next_item.draft_training import aligned
from recbole_apa.next_item.generation import (
    BeamDraft,
    Guess,
    SampledDraft,
    beam_search,
    exact_rejection,
    relaxed,
    sampled_beams,
)
from recbole_apa.next_item.generation.alignment import OBJECTIVES
from recbole_apa.next_item.merged_titles import MergedTitles
from recbole_apa.next_item.run.opened import NextItemRun, open_state
from recbole_apa.next_item.run.store import NextItemStore
from recbole_apa.next_item.title_drafts import TitleDraft
from recbole_apa.next_item.title_training import TitleTrainer

WIDTHS = (10, 20)
TIMES = (1, 2)
"""Beams of a draft for each of the search's."""
NAMES = ("none", *OBJECTIVES)
HEAD = "head"
"""A draft that costs no pass, beside them."""
RULES = {"exact": exact_rejection, "relaxed": relaxed}


def main() -> None:
    """Train, search, print, and keep the record."""
    parser = command(__doc__, threads=1)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--users", type=int, default=20, help="who is searched for")
    parser.add_argument("--pupils", type=int, help="of each shard, the users that drafts learn from; default: all")
    parser.add_argument("--dtype", default="float32", help="of the backbone in the searches")
    parser.add_argument("--data_path", help="where the dataset's folder is now")
    given = begin(parser)
    changes = {"show_progress": False, **({"data_path": given.data_path} if given.data_path else {})}
    run = open_state(NextItemStore(given.run), changes)
    if not run.state.learnt.adapters:
        parser.error("expected a run with adapters: titles or codes")
    if run.later:
        parser.error(f"{run.later}; expected a run that is whole")
    maps = trained_maps(run, given.pupils)
    reader, tally = Reader.of(run, given.dtype), Tally()
    titles = {name: _titles(reader, maps[name]) for name in NAMES}
    holds = reader.model.keeps_bits()
    for row in sorted(hash_order([s.user for s in reader.split.sequences], 0, "drafts")[: given.users]):
        measure(reader, titles, row, tally)
    print(f"{given.users} users, {given.dtype}; this machine keeps bits: {holds}")
    print(table(tally))
    figures = {name: tally.mean(name) for name in sorted(tally.values)}
    keep(
        given,
        {"pupils": given.pupils, "users": given.users, "dtype": given.dtype, "keeps_bits": holds, "figures": figures},
    )


def trained_maps(run: NextItemRun, n_pupils: int | None) -> dict[str, list[Tensor]]:
    """Objective -> the maps of all shards. What they learn from is read once for all objectives.

    Args:
        n_pupils: how many users of a shard, drawn by a hash of their names; None: all. A run takes all for the closed
            form, and ``draft_users`` of them to align it.
    """
    trainer = TitleTrainer(run.reader.states, run.data.catalogue, run.options.settings, run.state.codes)
    out: dict[str, list[Tensor]] = {name: [] for name in NAMES}
    for shard, adapter in enumerate(run.state.learnt.adapters):
        own = [s for s in run.data.sequences if run.state.learnt.shard_of.get(s.user) == shard]
        drawn = sorted(hash_order([s.user for s in own], 0, "pupils")[:n_pupils])
        lesson = trainer.lesson([own[i] for i in drawn], adapter.pairs)
        for name in NAMES:
            settings = replace(run.options.settings, draft_objective=name)  # type: ignore[arg-type]
            out[name].append(aligned(lesson, shard, settings, trainer.logits))
    return out


def _titles(reader: Reader, maps: Sequence[Tensor]) -> MergedTitles:
    state = reader.run.state
    drafts = tuple(TitleDraft(exit_map, "") for exit_map in maps)
    n_below = reader.n_layers - reader.run.options.settings.adapter_layers
    return MergedTitles(reader.model, replace(state, learnt=replace(state.learnt, drafts=drafts)), n_below)


def measure(reader: Reader, titles: dict[str, MergedTitles], row: int, tally: Tally) -> None:
    """All searches for one user."""
    split, run = reader.split, reader.run
    sequence, state = split.sequences[row], run.state.learnt.test.states[row]
    columns = run.data.catalogue.columns(sequence.shown(run.options.settings.history_length))
    allowed: list[bool] = split.allowed[row].tolist()
    guesses: dict[str, Guess] = {HEAD: reader.head_guess(row)}
    for name in NAMES:
        target, guesses[name] = titles[name].of(sequence.user, state).after_with_exit(columns)
    for width in WIDTHS:
        plain = target.fresh()
        expected = beam_search(plain, width, width, allowed)
        tally.add(f"{width}: passes", plain.n_passes)
        for name, guess in guesses.items():
            for times in TIMES:
                found = target.fresh()
                draft = BeamDraft(target.trie, fresh(guess), times * width, DEPTH)
                same = beam_search(found, width, width, allowed, draft) == expected
                tally.add(f"{width}, {times}K, {name}: passes", found.n_passes)
                tally.add(f"{width}, {times}K, {name}: same list", float(same))
    plain = target.fresh()
    sampled_beams(plain, DRAWN, allowed, Random(row), None, exact_rejection)
    tally.add("drawn: passes", plain.n_passes)
    for name, guess in guesses.items():
        for rule, verify in RULES.items():
            found = target.fresh()
            draws = SampledDraft(target.trie, fresh(guess), 2 * DRAWN, DEPTH)
            sampled_beams(found, DRAWN, allowed, Random(row), draws, verify)
            tally.add(f"drawn, {rule}, {name}: passes", found.n_passes)


def table(tally: Tally) -> str:
    """Steps that drafts save of those that a search without one needs a pass for."""
    columns = [(width, times) for width in WIDTHS for times in TIMES]
    lines = [["steps in all", *(f"{tally.mean(f'{w}: passes'):.2f}" for w, _ in columns)]]
    lines[0] += [f"{tally.mean('drawn: passes'):.2f}"] * len(RULES) + [""]
    for name in (HEAD, *NAMES):
        saved = [tally.mean(f"{w}: passes") - tally.mean(f"{w}, {t}K, {name}: passes") for w, t in columns]
        saved += [tally.mean("drawn: passes") - tally.mean(f"drawn, {rule}, {name}: passes") for rule in RULES]
        same = min(tally.mean(f"{w}, {t}K, {name}: same list") for w, t in columns)
        lines.append([name, *(f"{value:.2f}" for value in saved), f"{same:.2f}"])
    titles = [f"K = {w}, {t}K" for w, t in columns]
    return tabulate(lines, ["accepted steps", *titles, *(f"drawn, {rule}" for rule in RULES), "same list"])


if __name__ == "__main__":
    main()
