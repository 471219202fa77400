"""Where a scene plays: a folder that is made anew for each case, and commands in processes of their own."""

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.attacks.operations import BEFORE, watch
from benchmarks.attacks.processes import Ended, run_forked, warm_backbone, warm_modules
from benchmarks.attacks.scenes import CACHE, EXPORTS, KEYS, RUN, STORE, WORK, Place, Scene, where
from benchmarks.attacks.states import state_of
from benchmarks.attacks.tiny import write_config, write_tiny

Operations = list[tuple[str, str]]


class AttackError(Exception):
    """The undisturbed command itself does not do what it should."""


class Theatre:
    """Makes the state that a scene starts from, again and again.

    Args:
        folder: a new one; everything happens in it.

    Raises:
        AttackError: the tiny model cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        made = run_forked(lambda: write_tiny(folder), folder)
        if made.error:
            raise AttackError(made.error)
        warm_backbone(Path(made.value["backbone"]))
        self.place = Place(folder / "case", write_config(folder / "config.yaml", made.value))
        os.environ["RECBOLE_APA_CACHE"] = str(folder / "case" / CACHE)
        os.environ["RECBOLE_APA_KEY_FILE"] = str(folder / "case" / KEYS / "keys.json")

    def prepare(self, scene: Scene) -> None:
        """Make the state that a scene starts from.

        Raises:
            AttackError: one of the commands fails by itself.
        """
        self._empty()
        if not scene.trains and self.run(_make_key).error:
            raise AttackError(f"{scene.name}: no key can be made")
        for before in scene.before[: -1 if scene.interrupted else None]:
            self.play(scene, before(self.place))
        self._keep(scene)
        if scene.interrupted:
            command = scene.before[-1](self.place)
            at = _after_first_burst(self.play(scene, command), f"{RUN}/{scene.interrupted}")
            self.again(scene)
            died = self.killed(scene, command, at, BEFORE)
            if not died.killed or died.error:
                raise AttackError(f"{scene.name}: it was not interrupted: {died.error}")
            self._keep(scene)

    def again(self, scene: Scene) -> None:
        """The state that a scene starts from."""
        shutil.rmtree(self.place.folder, ignore_errors=True)
        shutil.copytree(self._base(scene), self.place.folder, symlinks=True)

    def play(self, scene: Scene, command: list[str]) -> Operations:
        """Run a command to its end; its operations.

        Raises:
            AttackError: it fails.
        """
        ended = self.run(partial(_counted, command, self._roots(scene)))
        if ended.error or ended.value[0] != 0:
            raise AttackError(f"{scene.name}: {' '.join(command)}: {ended.error or ended.said}")
        warm_modules(ended.value[2])
        return [(kind, name) for kind, name in ended.value[1]]

    def killed(self, scene: Scene, command: list[str], at: int, manner: str) -> Ended:
        """Run a command that is killed at its ``at``-th operation."""
        return self.run(partial(_killed, command, self._roots(scene), at, manner))

    def run(self, function: Callable[[], Any]) -> Ended:
        """A function in a process of its own, in the work folder."""

        def in_work() -> Any:
            os.chdir(self.place.folder / WORK)
            return function()

        return run_forked(in_work, self.folder)

    def state(self, scene: Scene) -> dict[str, Any]:
        """What the scene is about, as it lies there."""
        folder = self.place.folder / scene.judged
        if scene.judged == STORE:
            fetched = self.place.folder / "fetched"
            shutil.rmtree(fetched, ignore_errors=True)
            ended = self.run(partial(main, [f"--run={where(scene, self.place)}", f"--copy_to={fetched}"]))
            if ended.error or ended.value != 0:
                return {"cannot be fetched": ended.said[-300:]}
            folder = fetched
        return state_of(folder, scene.trains) if folder.exists() else {}

    def around(self) -> dict[str, Any]:
        """What lies beside the run: exports, and working copies that should be gone."""
        exports, copies = self.place.folder / EXPORTS, self.place.folder / CACHE / "runs"
        left = {f"{CACHE}/{p.name}": "a working copy" for p in copies.iterdir()} if copies.is_dir() else {}
        return left | ({f"{EXPORTS}/{n}": c for n, c in state_of(exports, True).items()} if exports.exists() else {})

    def _roots(self, scene: Scene) -> list[Path]:
        return [self.place.folder / name for name in scene.roots]

    def _base(self, scene: Scene) -> Path:
        return self.folder / "bases" / scene.name

    def _empty(self) -> None:
        shutil.rmtree(self.place.folder, ignore_errors=True)
        (self.place.folder / WORK).mkdir(parents=True)

    def _keep(self, scene: Scene) -> None:
        shutil.rmtree(self._base(scene), ignore_errors=True)
        shutil.copytree(self.place.folder, self._base(scene), symlinks=True)


def main(command: Sequence[str]) -> int:
    """The package's command line, in this process."""
    from recbole_apa.cli.main import main as run_command

    return run_command(command)


def _make_key() -> None:
    """One for all cases, so that what is keyed is the same in each."""
    from recbole_apa.evidence import key_ring

    key_ring({}).rotate()


def _counted(command: list[str], roots: list[Path]) -> tuple[int, Operations, list[str]]:
    found, known = watch(roots), set(sys.modules)
    return main(command), found.seen, sorted(set(sys.modules) - known)


def _killed(command: list[str], roots: list[Path], at: int, manner: str) -> int:
    watch(roots, at, manner)
    return main(command)


def _after_first_burst(operations: Operations, name: str) -> int:
    """Number of the operation after the one that finished a file by its own name."""
    for at, (_, file) in enumerate(operations, start=1):
        following = operations[at][1] if at < len(operations) else ""
        if file == name and following != name:
            return at + 1
    raise AttackError(f"{name} is never written")
