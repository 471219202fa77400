"""One command for a GPU: check what has to hold there, then time a Llama-7B with random weights. Eight minutes at most.

    python -m benchmarks.gpu --out=DIR
    python -m benchmarks.gpu --small --device=cpu --out=DIR     # shows that it runs

Needs what ``pip install .`` installs, 40 GB of GPU memory and no network. Every part runs in a separate process that is
ended when its time is up; if one fails, that is recorded, the others continue, and the exit status is 1. DIR gets
gpu.json, gpu.md and each part's record and log.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.gpu_table import table_of
from benchmarks.no_time import NO_TIME

ROOT = Path(__file__).resolve().parent.parent
PARTS = {"checks": 135, "predictions": 185, "step": 60, "request": 75}
"""Name -> seconds until it is ended, 455 in total."""
MARGIN = 12
"""Seconds before that limit at which a part that checks the clock stops by itself."""
PACKAGES = (
    "recbole-apa", "recbole", "torch", "transformers", "peft", "accelerate", "bitsandbytes", "safetensors", "numpy",
)  # fmt: skip


def machine(device: Any) -> dict[str, Any]:
    """The machine that the figures are from."""
    import torch

    found: dict[str, Any] = {
        "device": "cpu",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in PACKAGES},
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "device": properties.name,
            "device_bytes": properties.total_memory,
            "driver": _driver(),
            "cuda": torch.version.cuda,
            "cudnn": torch.backends.cudnn.version(),
            "compute_capability": f"{properties.major}.{properties.minor}",
            "float32_matmul": torch.get_float32_matmul_precision(),
        }
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.split("\n")[0]
    except (OSError, subprocess.SubprocessError):
        return "not known"


def work(part: str, device: Any, small: bool, deadline: float, save: Callable[[dict[str, Any]], None]) -> Any:
    """The record of a part.

    Args:
        deadline: of ``time.perf_counter``.
        save: saves what is known so far, in case the part is ended.
    """
    from benchmarks.gpu_checks import Place, run_checks
    from benchmarks.gpu_speed import FULL, SMALL, measure_predictions, measure_request, measure_step

    sizes = SMALL if small else FULL
    if part == "checks":
        with tempfile.TemporaryDirectory() as folder:
            place = Place(device, Path(folder), "tiny" if small else "small")
            return {"rows": run_checks(place, deadline, lambda rows: save({"rows": rows}))}
    if part == "predictions":
        return measure_predictions(device, sizes, deadline, save)
    if part == "step":
        return measure_step(device, sizes, deadline)
    return measure_request(device, sizes)


def run_part(part: str, given: argparse.Namespace) -> None:
    """Runs in a separate process and writes DIR/<part>.json."""
    start = time.perf_counter()
    import logging

    import recbole_apa  # noqa: F401  before torch, which reads how its threads wait when it is loaded

    # isort: split
    import torch

    logging.disable(logging.INFO)
    device = torch.device(given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if (device.type == "cuda" and not torch.cuda.is_available()) or (device.type == "cpu" and not given.small):
        raise SystemExit("found no GPU, expected one; --small --device=cpu shows that the command runs")
    torch.set_num_threads(given.threads)

    def save(record: dict[str, Any]) -> None:
        peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
        about = {"machine": machine(device), "peak_gpu_bytes": peak}
        (given.out / f"{part}.json").write_text(json.dumps({**about, **record}, indent=1) + "\n")

    save({})
    save(work(part, device, given.small, start + PARTS[part] - MARGIN, save))


def start_part(part: str, given: argparse.Namespace, limit: float) -> dict[str, Any]:
    """Status, seconds, and as much of the record as was written."""
    words = [f"--out={given.out.resolve()}", f"--part={part}", f"--threads={given.threads}"]
    words += [f"--device={given.device}"] * bool(given.device) + ["--small"] * given.small
    start = time.perf_counter()
    (given.out / f"{part}.json").unlink(missing_ok=True)
    with open(given.out / f"{part}.log", "w", encoding="utf-8") as log:
        command = [sys.executable, "-m", "benchmarks.gpu", *words]
        try:
            # run from the checkout, so that the module is found wherever this was started
            done = subprocess.run(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, timeout=limit, check=False)
            status = "done" if done.returncode == 0 else f"failed: status {done.returncode}"
        except subprocess.TimeoutExpired:
            status = f"ended after {limit:.0f} s"
    path = given.out / f"{part}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = {"status": status, "seconds": time.perf_counter() - start, **record}
    if status != "done":
        found["error"] = (given.out / f"{part}.log").read_text(encoding="utf-8", errors="replace")[-2000:]
    return found


def has_failed(parts: dict[str, dict[str, Any]]) -> bool:
    """Whether a part did not finish, or a check failed or was left out for lack of time."""
    checks = parts.get("checks", {}).get("rows", [])
    odd = any(row["status"] in ("failed", NO_TIME) for row in checks)
    return odd or any(part["status"] != "done" for part in parts.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a folder for records, logs and the table")
    parser.add_argument("--small", action="store_true", help="shows that it runs, not how fast")
    parser.add_argument("--device", help="cuda, cuda:1; cpu with --small; by itself the GPU, if there is one")
    parser.add_argument("--parts", type=_parts, default=list(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--threads", type=int, default=min(8, os.cpu_count() or 1))
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.part:
        run_part(given.part, given)
        return 0
    start = time.perf_counter()
    record: dict[str, Any] = {"commit": _commit(), "small": given.small, "parts": {}}
    for part in given.parts:
        print(f"{part} (at most {PARTS[part]} s) ...", flush=True)
        found = start_part(part, given, PARTS[part])
        record.setdefault("machine", found.pop("machine", None))
        record["parts"][part] = found
        print(f"  {found['status']}, {found['seconds']:.0f} s", flush=True)
        record["seconds"] = time.perf_counter() - start
        (given.out / "gpu.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = table_of(record)
    (given.out / "gpu.md").write_text(text + "\n", encoding="utf-8")
    print(text)
    return int(has_failed(record["parts"]))


def _parts(text: str) -> list[str]:
    """Names from the command line."""
    names = text.split(",")
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"found {unknown[0]!r}, expected some of {','.join(PARTS)}")
    return names


def _commit() -> str:
    """The commit, with ``+`` if the tree has changes; empty outside a checkout."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=10"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


if __name__ == "__main__":
    sys.exit(main())
