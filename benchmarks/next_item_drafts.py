"""Drafts of a run of APANext, by kind and by each of AtSpeed's objectives: how many steps of a search they save.

    python -m benchmarks.next_item_drafts --run=saved/APANext-ml-100k-... --users=20 --kept=drafts.jsonl

For a run with ``adapters: titles``. Each shard's draft is trained once in every way, with the run's own options of
drafts, on the shard's users and adapter; nothing is written to the run. Then test users, drawn by a hash of their
names, are searched for with merged adapters and drafts: beams for the best with strict verification (the list is
compared with that of the search without a draft), and drawn beams. A search without a draft needs one pass a step after
the first; a step is accepted if its pass is saved. Seconds are of this process's processor, for the search and whatever
its draft reads, without prompts and without the one pass of models over items, which has a line of its own. With
``--kept`` users that were measured before are not measured again.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random

from tabulate import tabulate
from torch import Tensor

from benchmarks.command import begin, command, keep
from benchmarks.kept_values import KeptValues
from benchmarks.next_item_titles import DEPTH, DRAWN, Reader, Tally, fresh
from benchmarks.whole_run import whole_run
from recbole_apa.core.seeding import hash_order
from recbole_apa.next_item.generation import (
    BeamDraft,
    Found,
    Guess,
    NodeChances,
    SampledDraft,
    beam_search,
    exact_rejection,
    relaxed,
    sampled_beams,
)
from recbole_apa.next_item.generation.alignment import OBJECTIVES
from recbole_apa.next_item.merged_titles import MergedTitles
from recbole_apa.next_item.run.opened import NextItemRun
from recbole_apa.next_item.title_drafts import TitleDraft
from recbole_apa.next_item.title_training import TitleTrainer

WIDTHS = (10, 20)
TIMES = (1, 2)
"""Beams of a draft for each of the search's."""
DRAFTS: dict[str, dict[str, object]] = {
    **{f"exit, {name}": {"draft_kind": "exit", "draft_objective": name} for name in ("none", *OBJECTIVES)},
    **{f"model, {name}": {"draft_kind": "model", "draft_objective": name} for name in ("none", *OBJECTIVES)},
}
for _name in ("exit, atspeed-s", "exit, atspeed-r", "model, atspeed-s", "model, atspeed-r"):
    DRAFTS[f"{_name}, own beams"] = {**DRAFTS[_name], "draft_student": 0.5}
"""Label -> options. Own beams: half of the positions."""
CHANCES = "seconds of a model's chances"
HEAD = "head"
"""A draft that costs no pass, beside them."""
RULES = {"exact": exact_rejection, "relaxed": relaxed}


def main() -> None:
    """Train, search, print, and keep the record."""
    parser = command(__doc__, threads=1)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--users", type=int, default=20, help="who is searched for")
    parser.add_argument(
        "--pupils", type=int, help="of each shard, the users that drafts are aligned on; default: the run's"
    )
    parser.add_argument("--drafts", nargs="*", default=list(DRAFTS), choices=list(DRAFTS))
    parser.add_argument("--dtype", default="float32", help="of the backbone in the searches")
    parser.add_argument("--kept", type=Path, help="a file of users that were measured, one a line; new ones are added")
    parser.add_argument("--data_path", help="where the dataset's folder is now")
    given = begin(parser)
    run, digest = whole_run(given, parser)
    reader, tally = Reader.of(run, given.dtype), Tally()
    holds = reader.model.keeps_bits()
    kept = KeptValues(given.kept, f"{digest} {given.dtype} {given.pupils} {', '.join(given.drafts)}")

    @cache
    def titles() -> dict[str, MergedTitles]:
        return {n: _titles(reader, t) for n, t in taught(run, given.drafts, given.pupils).items()}

    for row in sorted(hash_order([s.user for s in reader.split.sequences], 0, "drafts")[: given.users]):
        for name, own in kept.get(row, lambda row=row: measure(reader, titles(), row)).items():
            tally.values[name] += own
    print(f"{given.users} users, {given.dtype}; this machine keeps bits: {holds}")
    print(table(tally, [HEAD, *given.drafts]))
    if tally.values[CHANCES]:
        print(f"{CHANCES}, of all shards, before a search: {tally.mean(CHANCES):.4f}")
    figures = {name: tally.mean(name) for name in sorted(tally.values)}
    about = {"pupils": given.pupils, "users": given.users, "dtype": given.dtype, "keeps_bits": holds}
    about |= {"measured_on": kept.measured_on}
    keep(given, {**about, "figures": figures})


def taught(run: NextItemRun, drafts: Sequence[str], n_pupils: int | None) -> dict[str, list[dict[str, Tensor]]]:
    """Label -> what the drafts of all shards have learnt. What they learn from is read once for all of them.

    Args:
        n_pupils: how many users of a shard drafts are aligned on; None: as many as in the run.
    """
    settings = run.options.settings
    settings = settings if n_pupils is None else replace(settings, draft_users=n_pupils)
    trainer = TitleTrainer(run.reader.states, run.data.catalogue, settings, run.state.codes)
    out: dict[str, list[dict[str, Tensor]]] = {name: [] for name in drafts}
    for shard, adapter in enumerate(run.state.learnt.adapters):
        own = [s for s in run.data.sequences if run.state.learnt.shard_of.get(s.user) == shard]
        lesson = trainer.lesson(own, adapter.pairs)
        for name in drafts:
            start = time.process_time()
            out[name].append(trainer.draft(shard, lesson, replace(settings, **DRAFTS[name])))  # type: ignore[arg-type]
            print(f"shard {shard}, {name}: {time.process_time() - start:.1f} s", flush=True)
    return out


def _titles(reader: Reader, learnt: Sequence[Mapping[str, Tensor]]) -> MergedTitles:
    state = reader.run.state
    drafts = tuple(TitleDraft(tensors, "") for tensors in learnt)
    n_below = reader.n_layers - reader.run.options.settings.adapter_layers
    return MergedTitles(reader.model, replace(state, learnt=replace(state.learnt, drafts=drafts)), n_below)


def measure(reader: Reader, titles: dict[str, MergedTitles], row: int) -> dict[str, list[float]]:
    """All searches for one user."""
    split, run, tally = reader.split, reader.run, Tally()
    sequence, state = split.sequences[row], run.state.learnt.test.states[row]
    columns = run.data.catalogue.columns(sequence.shown(run.options.settings.history_length))
    allowed: list[bool] = split.allowed[row].tolist()
    guesses: dict[str, Guess] = {HEAD: reader.head_guess(row)}
    target = next(iter(titles.values())).after(sequence.user, state, columns)
    for name, of_draft in titles.items():
        if DRAFTS[name]["draft_kind"] == "model":
            start = time.process_time()
            guesses[name] = of_draft.drafted(sequence.user, state, columns)
            tally.add(CHANCES, time.process_time() - start)
        else:
            _, guesses[name] = of_draft.of(sequence.user, state).after_with_exit(columns)
    for width in WIDTHS:
        search = _Search(width, allowed, tally)
        expected = search(f"{width}", target.fresh(), None)
        for name, guess in guesses.items():
            for times in TIMES:
                label, draft = f"{width}, {times}K, {name}", BeamDraft(target.trie, fresh(guess), times * width, DEPTH)
                tally.add(f"{label}: same list", float(search(label, target.fresh(), draft) == expected))
    plain = target.fresh()
    sampled_beams(plain, DRAWN, allowed, Random(row), None, exact_rejection)
    tally.add("drawn: passes", plain.n_passes)
    for name, guess in guesses.items():
        for rule, verify in RULES.items():
            ahead = target.fresh()
            draws = SampledDraft(target.trie, fresh(guess), 2 * DRAWN, DEPTH)
            sampled_beams(ahead, DRAWN, allowed, Random(row), draws, verify)
            tally.add(f"drawn, {rule}, {name}: passes", ahead.n_passes)
    return dict(tally.values)


@dataclass(frozen=True)
class _Search:
    """Beams for the best, timed."""

    width: int
    allowed: Sequence[bool]
    tally: Tally

    def __call__(self, label: str, chances: NodeChances, draft: BeamDraft | None) -> list[Found]:
        start = time.process_time()
        found = beam_search(chances, self.width, self.width, self.allowed, draft)
        self.tally.add(f"{label}: seconds", time.process_time() - start)
        self.tally.add(f"{label}: passes", chances.n_passes)
        return found


def table(tally: Tally, names: Sequence[str]) -> str:
    """Steps that drafts save of those that a search without one needs a pass for, and seconds with drafts of 2K."""
    columns = [(width, times) for width in WIDTHS for times in TIMES]
    lines = [["steps in all", *(f"{tally.mean(f'{w}: passes'):.2f}" for w, _ in columns)]]
    lines[0] += [f"{tally.mean('drawn: passes'):.2f}"] * len(RULES)
    lines[0] += [f"{tally.mean(f'{w}: seconds'):.2f}" for w in WIDTHS] + [""]
    for name in names:
        saved = [tally.mean(f"{w}: passes") - tally.mean(f"{w}, {t}K, {name}: passes") for w, t in columns]
        saved += [tally.mean("drawn: passes") - tally.mean(f"drawn, {rule}, {name}: passes") for rule in RULES]
        saved += [tally.mean(f"{w}, 2K, {name}: seconds") for w in WIDTHS]
        same = min(tally.mean(f"{w}, {t}K, {name}: same list") for w, t in columns)
        lines.append([name, *(f"{value:.2f}" for value in saved), f"{same:.2f}"])
    titles = [f"K = {w}, {t}K" for w, t in columns] + [f"drawn, {rule}" for rule in RULES]
    return tabulate(lines, ["accepted steps", *titles, *(f"seconds, {w}" for w in WIDTHS), "same list"])


if __name__ == "__main__":
    main()
