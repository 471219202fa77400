"""A process that forgets something and is killed on the way. Started by a fork server that has torch loaded."""

import os
import shutil
import signal
from pathlib import Path

OPERATIONS = ("replace", "rename", "fsync", "write", "unlink", "rmdir", "ftruncate", "mkdir")


def preload() -> None:
    """Import everything slow; no torch operation may run before a fork."""
    import recbole.trainer  # noqa: F401
    import sklearn.cluster  # noqa: F401
    import transformers.models.llama.modeling_llama  # noqa: F401

    import recbole_apa.adapters.ia3
    import recbole_apa.adapters.lora
    import recbole_apa.data.old_reading
    import recbole_apa.evaluation.ranking
    import recbole_apa.partition.semantic
    import recbole_apa.pipeline.datasets
    import recbole_apa.unlearning.additions.carry_out
    import recbole_apa.unlearning.additions.plan
    import recbole_apa.unlearning.additions.stage
    import recbole_apa.unlearning.approximate.methods
    import recbole_apa.unlearning.exact
    import recbole_apa.unlearning.stage  # noqa: F401


def forget(folder: str, work: str, asked: dict, kill_at: int | None, report: str | None) -> None:
    """Carry out a request in ``folder`` and kill this process just before its ``kill_at``-th file operation inside
    that folder (a write is cut in half).

    Args:
        report: a file for the number of operations; beside it, ``.paths`` gets a line for each with what it concerns.
    """
    os.chdir(work)
    counter, paths = {"n": 0}, []

    def counted(name: str):
        original = getattr(os, name)

        def operation(*args, **kwargs):
            if _concerns(folder, name, args):
                counter["n"] += 1
                paths.append(_path(args[0]))
                if counter["n"] == kill_at:
                    if name == "write":
                        original(args[0], args[1][: len(args[1]) // 2])
                    os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        return operation

    for name in OPERATIONS:
        setattr(os, name, counted(name))
    ask(folder, asked)
    if report:
        Path(report).write_text(str(counter["n"]))
        Path(f"{report}.paths").write_text("\n".join(paths) + "\n")


def ask(folder: str | Path, asked: dict) -> None:
    """A request, with ``added`` an addition, or with ``catch_up`` what requests at once have left."""
    from recbole_apa import catch_up, unlearn
    from recbole_apa.unlearning.additions.stage import add

    if "added" in asked:
        add(folder, asked["added"])
    elif "catch_up" in asked:
        catch_up(folder)
    else:
        unlearn(folder, **asked)


def _concerns(folder: str, name: str, args: tuple) -> bool:
    target = _path(args[0])
    return target.startswith(folder) and ".lock" not in target


def _path(target: object) -> str:
    """Of a path, or of an open file; empty if it has none."""
    try:
        return str(os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else target)
    except OSError:
        return ""


def fresh_copy(source: Path, target: Path) -> Path:
    """A copy of a run."""
    if target.exists():
        shutil.rmtree(target)
    shutil.copytree(source, target)
    return target


def forget_at(url: str, work: str, asked: dict, kill_at: int | None, report: str | None, variables: dict) -> None:
    """Carry out a request on a run at a URL and kill this process just before its ``kill_at``-th write to the store.

    ``variables`` are the environment's: the fork server may have been started before they were set.
    """
    os.chdir(work)
    os.environ.update(variables)
    from recbole_apa import unlearn
    from recbole_apa.runs.remote.objects import RunObjects

    n = 0

    def counted(name: str):
        original = getattr(RunObjects, name)

        def operation(*args, **kwargs):
            nonlocal n
            n += 1
            if n == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(RunObjects, name, operation)

    for name in ("upload", "write", "delete"):
        counted(name)
    unlearn(url, **asked)
    if report:
        Path(report).write_text(str(n))
