"""Learning rates of drafts: how far drafts stay from their teacher on users who taught neither a draft nor its choice.

    python -m benchmarks.next_item_draft_rates --run=saved/APANext-ml-100k-... --pupils=10 --held=6 --kept=rates.jsonl

For a run with ``adapters: titles``. Of one shard some users, drawn by a hash of their names, are left out. Drafts of
each kind learn from the others by every objective and at every rate, with the run's own options of drafts otherwise,
and nothing is written to the run. The adapter, which is their teacher, knows all users of the shard. Printed are the
total variation between draft and teacher along the teacher's beams of those who were left out, and the cross-entropy,
in nats, of what they chose. With ``--kept`` what was measured before is not measured again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from pathlib import Path

import torch
from tabulate import tabulate
from torch import Tensor

from benchmarks.command import begin, command, keep
from benchmarks.kept_values import KeptValues
from benchmarks.whole_run import whole_run
from recbole_apa.core.seeding import hash_order
from recbole_apa.next_item.draft_training import DraftLesson
from recbole_apa.next_item.generation.alignment import OBJECTIVES, sequence_loss, total_variation
from recbole_apa.next_item.generation.draft_rows import DraftRows, Student, mean_loss
from recbole_apa.next_item.generation.draft_students import EXIT_MAP, ExitStudent, ModelStudent
from recbole_apa.next_item.generation.item_network import ItemNetwork, SumsBelow
from recbole_apa.next_item.run.opened import NextItemRun
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.title_training import TitleTrainer

RATES = {"exit": (1e-6, 1e-5, 1e-4, 1e-3), "model": (3e-4, 1e-3, 3e-3)}
"""Of each kind; the closed form of an exit has none."""
Case = tuple[str, str, float | None]
"""Kind, objective, rate."""


@dataclass
class Judge:
    """One shard of a run: users who teach drafts, and users by whom they are judged."""

    trainer: TitleTrainer
    shard: int
    lesson: DraftLesson
    beams: DraftRows
    choices: DraftRows

    @classmethod
    def of(cls, run: NextItemRun, shard: int, n_pupils: int, n_held: int) -> "Judge":
        """Read both."""
        settings, learnt = run.options.settings, run.state.learnt
        own = [s for s in run.data.sequences if learnt.shard_of.get(s.user) == shard]
        held = set(hash_order([s.user for s in own], 0, "held out of drafts")[:n_held])
        lessons = []
        for is_held, n in ((False, n_pupils), (True, n_held)):
            trainer = _trainer(run, replace(settings, draft_users=n))
            chosen = [s for i, s in enumerate(own) if (i in held) == is_held]
            lessons.append((trainer, trainer.lesson(chosen, learnt.adapters[shard].pairs)))
        (trainer, lesson), (_, judged) = lessons
        choices = DraftRows.together([pupil.choices for pupil in judged.pupils])
        return cls(trainer, shard, lesson, DraftRows.together(judged.written), choices)

    def values(self, case: Case) -> dict[str, list[float]]:
        """What a draft is like that was trained in some way."""
        kind, objective, rate = case
        told: dict[str, object] = {"draft_kind": kind, "draft_objective": objective}
        if rate is not None:
            told["draft_learning_rate" if kind == "exit" else "draft_model_learning_rate"] = rate
        tensors = self.trainer.draft(
            self.shard,
            self.lesson,
            replace(self.trainer.settings, **told),  # type: ignore[arg-type]
        )
        with torch.no_grad():
            draft, logits = self._student(tensors), self.trainer.logits
            apart = mean_loss(draft, self.beams, logits, lambda own, teacher, _: total_variation(own, teacher))
            nats = mean_loss(draft, self.choices, logits, lambda own, _, taken: sequence_loss(own, taken))
        return {"total variation": [float(apart)], "nats": [float(nats)]}

    def _student(self, tensors: Mapping[str, Tensor]) -> Student:
        if EXIT_MAP in tensors:
            return ExitStudent(tensors[EXIT_MAP], self.trainer.logits)
        return ModelStudent(ItemNetwork.of(tensors), SumsBelow(self.trainer.identifiers.trie))


def main() -> None:
    """Train, judge, print, and keep the record."""
    parser = command(__doc__, threads=1)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--shard", type=int, default=0)
    parser.add_argument("--pupils", type=int, default=10, help="users whom drafts are aligned on")
    parser.add_argument("--held", type=int, default=6, help="users who are left out")
    parser.add_argument("--kept", type=Path, help="a file of what was measured, one draft a line; new ones are added")
    parser.add_argument("--data_path", help="where the dataset's folder is now")
    given = begin(parser)
    run, digest = whole_run(given, parser)
    kept = KeptValues(given.kept, f"{digest} shard {given.shard} pupils {given.pupils} held {given.held}")
    judge = cache(lambda: Judge.of(run, given.shard, given.pupils, given.held))
    lines = []
    for case in cases():
        name = ", ".join(f"{part:g}" if isinstance(part, float) else part for part in case if part is not None)
        values = kept.get(name, partial(_values, judge, case))
        lines.append([name, *(f"{values[column][0]:.3f}" for column in ("total variation", "nats"))])
    print(tabulate(lines, ["draft, objective, rate", "total variation", "nats"], disable_numparse=True))
    about = {"pupils": given.pupils, "held": given.held, "shard": given.shard, "measured_on": kept.measured_on}
    keep(given, {**about, "figures": lines})


def cases() -> list[Case]:
    """Everything that is tried."""
    out: list[Case] = [("exit", "none", None)]
    out += [("exit", objective, rate) for objective, rate in product(OBJECTIVES, RATES["exit"])]
    return out + [("model", objective, rate) for objective, rate in product(("none", *OBJECTIVES), RATES["model"])]


def _values(judge: Callable[[], Judge], case: Case) -> dict[str, list[float]]:
    return judge().values(case)


def _trainer(run: NextItemRun, settings: NextItemSettings) -> TitleTrainer:
    return TitleTrainer(run.reader.states, run.data.catalogue, settings, run.state.codes)


if __name__ == "__main__":
    main()
