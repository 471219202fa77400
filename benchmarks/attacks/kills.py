"""Kill a run at every file operation in turn, go on as a person would, and compare the end with an undisturbed one.

python -m benchmarks.attacks.kills --out=kills.jsonl                             # every operation of every stage
python -m benchmarks.attacks.kills --out=kills.jsonl --n=1000 --seconds=3600     # at most; again, and it goes on

Each case forks a process that has torch loaded and kills it with SIGKILL before its k-th file operation in the run's
folders, or in the middle of a write. What is left has to be the old state, the new one, or refused; then the same
command is given again, or ``--resume``, every byte of state is compared (states.py lists what is exempt), and the run
is audited. What is in ``--out`` is not done again.
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.attacks.local_store import register_local_store
from benchmarks.attacks.operations import BEFORE, HALF, WRITES
from benchmarks.attacks.processes import warm
from benchmarks.attacks.record import Record, table
from benchmarks.attacks.scenes import SCENES, Place, Scene, where
from benchmarks.attacks.states import difference
from benchmarks.attacks.theatre import AttackError, Operations, Theatre, main

DONE_BEFORE = ("was forgotten before", "found no request", "holds a finished run", "holds another run")
"""What a command says whose work is done already."""


@dataclass(frozen=True)
class Undisturbed:
    """How a scene goes when nothing is killed."""

    scene: Scene
    operations: Operations
    old: dict[str, Any]
    """The state it starts from."""
    new: dict[str, Any]
    sound: tuple[dict[str, Any], ...]
    """These two, and one between them where there is one: what may be served."""
    around: dict[str, Any]
    findings: list[str]
    """Of the audit; none where it holds."""

    def cases(self) -> list[tuple[int, str]]:
        """Number of the operation, and how it is killed."""
        numbered = enumerate(self.operations, start=1)
        return [(at, m) for at, (kind, _) in numbered for m in ((BEFORE, HALF) if kind in WRITES else (BEFORE,))]


def undisturbed(theatre: Theatre, scene: Scene) -> Undisturbed:
    """Play a scene to its end.

    Raises:
        AttackError: a command fails by itself, or its end is not sound.
    """
    theatre.prepare(scene)
    old = theatre.state(scene)
    between = []
    if scene.midway:
        theatre.again(scene)
        theatre.play(scene, scene.midway(theatre.place))
        between.append(theatre.state(scene))
    theatre.again(scene)
    scene.tidy(theatre.place)
    operations = theatre.play(scene, scene.command(theatre.place))
    new, around = theatre.state(scene), theatre.around()
    audited = theatre.run(partial(_findings, scene, theatre.place))
    if audited.error or (scene.holds and audited.value):
        raise AttackError(f"{scene.name}: the undisturbed end is not sound: {audited.error or audited.value}")
    return Undisturbed(scene, operations, old, new, (old, new, *between), around, audited.value)


class Case:
    """One kill.

    Args:
        at: 1, 2, 3, ...: before which operation.
    """

    def __init__(self, theatre: Theatre, there: Undisturbed, at: int, manner: str) -> None:
        self.theatre, self.there, self.scene, self.at, self.manner = theatre, there, there.scene, at, manner
        self.resumes = self.scene.resumes and at % 2 == 0

    @property
    def name(self) -> str:
        """By which the record knows it."""
        return f"{self.scene.name} {self.at} {self.manner}"

    def play(self) -> dict[str, Any]:
        """Kill, go on, compare: a line of the record, with the reason why it counts as lost ("" where it does not)."""
        start = time.perf_counter()
        self.theatre.again(self.scene)
        self.scene.tidy(self.theatre.place)
        died = self.theatre.killed(self.scene, self.scene.command(self.theatre.place), self.at, self.manner)
        why = "" if died.killed and not died.error else f"it was not killed: {died.error or died.said[-300:]}"
        why = why or self._left() or self._finished()
        kind, file = self.there.operations[self.at - 1]
        way = "--resume" if self.resumes else "same command"
        seconds = round(time.perf_counter() - start, 2)
        about = {"case": self.name, "stage": self.scene.name, "at": self.at, "manner": self.manner, "kind": kind}
        return {**about, "file": file, "way": way, "lost": bool(why), "why": why, "seconds": seconds}

    def _left(self) -> str:
        """What is wrong with what the kill left: what is served is a sound state, whole."""
        left = self.theatre.state(self.scene)
        self.was_done = _settled(left) == _settled(self.there.new)
        if left in self.there.sound:
            return ""
        opened = self.theatre.run(partial(_is_served, self.scene, self.theatre.place))
        if opened.error:
            return f"opening what the kill left: {opened.error}"
        if not opened.value:
            return ""
        if _waiting(left):
            return "the old state is served without a word, although a request waits"
        served = _served(left)
        if any(served == _served(state) for state in self.there.sound):
            return ""
        return f"what is served is none of the sound states: {difference(served, _served(self.there.new))}"

    def _finished(self) -> str:
        """What is wrong with the end."""
        theatre, scene = self.theatre, self.scene
        scene.tidy(theatre.place)
        command = scene.command(theatre.place)
        if self.resumes and _waiting(theatre.state(scene)):
            resumed = theatre.run(partial(main, theatre.place.later("--resume", run=where(scene, theatre.place))))
            if resumed.error or resumed.value != 0:
                return f"--resume: {resumed.error or resumed.said[-600:]}"
            # what waited may be an earlier request; what is done twice is refused
            self.was_done = _settled(theatre.state(scene)) == _settled(self.there.new)
        ended = theatre.run(partial(main, command))
        if ended.error:
            return f"going on: {ended.error}"
        if ended.value != 0 and not (self.was_done and any(words in ended.said for words in DONE_BEFORE)):
            return f"going on ended with status {ended.value}: {ended.said[-600:]}"
        unlike = difference(theatre.state(scene), self.there.new) or difference(theatre.around(), self.there.around)
        if unlike:
            return f"another end: {unlike}"
        audited = theatre.run(partial(_findings, scene, theatre.place))
        if audited.error or audited.value != self.there.findings:
            return f"the audit: {audited.error or audited.value}"
        return ""


def _served(state: dict[str, Any]) -> dict[str, Any]:
    """What is evaluated of a state: no temporary files, no ledger, nothing that waits."""
    apart = (".", "pending/", "ledger.jsonl", "certificates/")
    return {n: c for n, c in state.items() if not n.startswith(apart) and "/." not in n}


def _settled(state: dict[str, Any]) -> dict[str, Any]:
    """A state without the note of who holds it, which a killed process leaves when all is done."""
    return {name: content for name, content in state.items() if not name.endswith(".lock-holder.json")}


def _waiting(state: dict[str, Any]) -> bool:
    """Whether the ledger has a request that was not carried out."""
    lines = state.get("ledger.jsonl", [])
    lines = [line for line in lines if isinstance(line, dict)] if isinstance(lines, list) else []
    done = {n for line in lines if line["kind"] == "done" for n in line["requests"]}
    return any(line["kind"] == "request" and line["position"] not in done for line in lines)


def _is_served(scene: Scene, place: Place) -> bool:
    """Whether a run is evaluated as it lies there; False where it is refused."""
    from recbole_apa import evaluate_run
    from recbole_apa.core.errors import APAError

    try:
        evaluate_run(where(scene, place))
    except APAError as error:
        print(error)
        return False
    return True


def _findings(scene: Scene, place: Place) -> list[str]:
    from recbole_apa import audit

    return list(audit(where(scene, place)).findings)


def turns(scenes: Sequence[Undisturbed]) -> list[tuple[Undisturbed, int, str]]:
    """Every case, the scenes in turn, each in an order of its own: what the time allows is spread evenly."""
    out = []
    for there in scenes:
        cases = there.cases()
        random.Random(there.scene.name).shuffle(cases)
        out += [((number + 1) / len(cases), there, *case) for number, case in enumerate(cases)]
    return [(there, at, manner) for _, there, at, manner in sorted(out, key=lambda turn: turn[0])]


def kill_everywhere(theatre: Theatre, scenes: Sequence[Scene], record: Record, n: int | None, seconds: float) -> None:
    """Play cases that the record does not have, until it has ``n`` or the time is over."""
    end = time.monotonic() + seconds
    for there, at, manner in turns([undisturbed(theatre, scene) for scene in scenes]):
        case = Case(theatre, there, at, manner)
        if case.name in record.known:
            continue
        if time.monotonic() > end or (n is not None and len(record.lines) >= n):
            return
        line = case.play()
        record.add(line)
        if line["lost"]:
            print(f"LOST {case.name} ({line['kind']} {line['file']}, {line['way']}): {line['why'][-400:]}", flush=True)


def summary(record: Record) -> str:
    """Stage x cases x lost."""
    rows = []
    for stage in dict.fromkeys(line["stage"] for line in record.lines):
        lines = [line for line in record.lines if line["stage"] == stage]
        rows.append((stage, len(lines), sum(line["lost"] for line in lines)))
    return table(("stage", "cases", "lost"), [*rows, ("all", sum(r[1] for r in rows), sum(r[2] for r in rows))])


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a JSON line for each case; what is there is kept")
    parser.add_argument("--n", type=int, help="how many cases the file is to hold; all by default")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for how long")
    parser.add_argument("--stages", help="parts of their names, with commas between; all by default")
    given = parser.parse_args()
    words = given.stages.split(",") if given.stages else [""]
    warm()
    register_local_store()
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    record = Record(given.out)
    try:
        scenes = [scene for scene in SCENES if any(word in scene.name for word in words)]
        kill_everywhere(Theatre(folder), scenes, record, given.n, given.seconds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(summary(record))
    return int(any(line["lost"] for line in record.lines))


if __name__ == "__main__":
    sys.exit(_main())
