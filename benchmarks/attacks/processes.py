"""A function in a forked child: it may be killed, and takes no time to import anything."""

import contextlib
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ended:
    """How a child came to its end."""

    killed: bool
    value: Any = None
    """What the function returned, as JSON keeps it; None where it did not return."""
    error: str = ""
    """A traceback, where it raised something, or that it hung."""
    said: str = ""
    """The end of what it wrote to its outputs."""


def warm() -> None:
    """Import everything slow in the parent. No gradient may be computed there: a fork would not survive it."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import plotly.graph_objects
    import recbole.trainer  # noqa: F401
    import torch
    import transformers.models.llama.modeling_llama  # noqa: F401

    import recbole_apa.cli.main
    import recbole_apa.pipeline.quick_start
    import recbole_apa.unlearning.proof.quick
    import recbole_apa.unlearning.stage  # noqa: F401

    torch.set_num_threads(1)
    # plotly makes its templates when a first figure asks for them
    plotly.graph_objects.Figure(plotly.graph_objects.Table()).update_layout(template="plotly_white").to_json()


def warm_backbone(folder: Path) -> None:
    """What transformers keeps of a first loading."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    AutoModelForCausalLM.from_pretrained(folder)
    AutoTokenizer.from_pretrained(folder)


def warm_modules(names: Sequence[str]) -> None:
    """Import what a child had to import."""
    for name in names:
        if name not in sys.modules:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)


def run_forked(function: Callable[[], Any], folder: Path, seconds: float = 120.0) -> Ended:
    """Run a function in a child.

    Args:
        folder: of this call's own, for what the child returns and says.
        seconds: after which a child is taken to hang, and killed.
    """
    answer, said = folder / "answer.json", folder / "said.txt"
    answer.unlink(missing_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _be_child(function, answer, said)
    status = _wait(child, seconds)
    words = said.read_text(errors="replace")[-2000:] if said.exists() else ""
    if status is None:
        return Ended(True, error=f"it hung for {seconds} s", said=words)
    if os.WIFSIGNALED(status):
        return Ended(True, said=words)
    if not answer.exists():
        return Ended(False, error=f"it ended with status {status}", said=words)
    return Ended(False, said=words, **json.loads(answer.read_text()))


def _be_child(function: Callable[[], Any], answer: Path, said: Path) -> None:
    """Never returns."""
    plain_open = os.open
    handle = plain_open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    try:
        out = {"value": function()}
    except BaseException:  # whatever it was is the parent's finding
        out = {"error": traceback.format_exc()}
    sys.stdout.flush()
    sys.stderr.flush()
    answer.write_text(json.dumps(out))
    os._exit(0)


def _wait(child: int, seconds: float) -> int | None:
    """The child's status; None where it had to be killed."""
    end = time.monotonic() + seconds
    pause = 0.002
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
