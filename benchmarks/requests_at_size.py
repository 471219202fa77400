"""Whole commands on a dataset of any size, from the start of the process to its end: training, a dry run, a request
that affects no sample, audit, verification, a stream of requests in one process, and RecBole's own Pop.

    python -m benchmarks.requests_at_size --rows=1_000_000 --out=benchmarks/results/requests_1m.json
    python -m benchmarks.requests_at_size --small

Interactions are drawn by a seed: 150 a user on average, items with a long tail. The run is small (32 training samples,
8 for validation, 8 for the test, 4 shards, one epoch, no baseline), so that what is measured is the handling of the
data, with the collaborative statistics that a run keeps by default (``--evidence=none``: without). The record is
written anew after every figure.
"""

import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

from benchmarks.command import begin, command, keep
from benchmarks.loading import write_interactions
from benchmarks.one_process import measured
from benchmarks.request_jobs import NAME, OPTIONS, RUN, SEED, untouched_user, users_of_data

ROOT = Path(__file__).resolve().parent.parent
PARTS = ("start", "train", "dry_run", "audit", "forget", "audit_after", "verify", "stream", "pop")
"""In this order; ``start`` is what training does before it loads a model: reading, split, draw."""


@dataclass(frozen=True)
class Place:
    """Where everything lies: the data, the run, the key file."""

    folder: Path
    backbone: str
    n_requests: int
    evidence: str
    """Whether the run keeps collaborative statistics: ``counts`` or ``none``."""

    @property
    def run(self) -> Path:
        return self.folder / RUN

    @property
    def interactions(self) -> Path:
        return self.folder / NAME / f"{NAME}.inter"

    def train(self, model: str) -> list[str]:
        """The command that trains."""
        given = {**OPTIONS, "data_path": self.folder, "dataset": NAME, "model": model}
        if model == "APA":
            given |= {"run_dir": self.run, "backbone": self.backbone, "evidence": self.evidence, "baselines": []}
        return [*_program(), *(f"--{name}={_text(value)}" for name, value in given.items())]

    def on_run(self, *words: str) -> list[str]:
        """A command on the run."""
        return [*_program(), f"--run={self.run}", f"--data_path={self.folder}", *words]

    def job(self, name: str, *words: str) -> list[str]:
        """One of the measurements that need Python."""
        return [sys.executable, "-m", "benchmarks.request_jobs", name, str(self.folder), *words]


def write_data(folder: Path, n_rows: int) -> None:
    """Interactions as ``benchmarks.loading`` writes them, and an ``.item`` file with a title for each item."""
    path = folder / NAME / f"{NAME}.inter"
    write_interactions(path, n_rows, SEED)
    with open(path, encoding="utf-8") as file:
        next(file)
        items = sorted({line.split("\t", 2)[1] for line in file}, key=int)
    lines = ["item_id:token\ttitle:token_seq", *(f"{item}\tFilm {item} (1990)" for item in items)]
    path.with_suffix(".item").write_text("\n".join(lines) + "\n", encoding="utf-8")


def lines_of(place: Place, parts: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The command of each part; made when its turn comes, since later ones need the run."""
    for part in parts:
        if part == "start":
            yield part, place.job("start")
        elif part == "train":
            yield part, place.train("APA")
        elif part in ("dry_run", "forget"):
            words = [f"--forget_users={untouched_user(place.folder)}", *(["--dry_run"] if part == "dry_run" else [])]
            yield part, place.on_run(*words)
        elif part in ("audit", "audit_after"):
            yield part, place.on_run("--audit")
        elif part == "verify":
            yield part, place.on_run("--verify")
        elif part == "stream":
            yield part, place.job("stream", str(place.n_requests))
        else:
            yield part, place.train("Pop")


def machine() -> dict[str, object]:
    """What the figures were measured on, and how busy it was at the start."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    found = re.search(r"model name\s*: (.*)", info)
    return {
        "processor": found[1] if found else platform.processor(),
        "cores": os.cpu_count(),
        "ram_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def measure(place: Place, parts: Sequence[str], threads: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each part's figures.

    Raises:
        SystemExit: a command failed; says how.
    """
    variables = {
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "RECBOLE_APA_KEY_FILE": str(place.folder / "keys.json"),
    }
    for part, line in lines_of(place, parts):
        own = {"RECBOLE_APA_COMPAT": "0"} if part == "pop" else {}
        done = measured(line, place.folder, {**variables, **own})
        if done.status:
            raise SystemExit(f"{part}: status {done.status}: {' '.join(line)}\n{done.output}\n{done.said[-4000:]}")
        inside = json.loads(done.output.splitlines()[-1]) if part in ("start", "stream") else {}
        told = {"seconds": done.seconds, "cpu_seconds": done.cpu_seconds, "peak_bytes": done.peak_bytes}
        yield part, {**told, "load_average": os.getloadavg()[0], **inside}


def table(figures: dict[str, dict[str, Any]]) -> str:
    """One line a part."""
    names = ("seconds", "cpu_seconds", "load_average")
    rows = [[part.replace("_", " "), *(f[n] for n in names), f["peak_bytes"] / 1e9] for part, f in figures.items()]
    asked = figures.get("stream")
    if asked:
        beyond = np.subtract(asked["request_seconds"], asked["training_seconds"])
        name = f"a request of the stream's {len(beyond)}, beyond training, median; greatest"
        rows += [[name, float(np.median(beyond))], ["", float(beyond.max())]]
    head = ["what", "seconds", "CPU seconds", "load", "peak RAM, GB"]
    return tabulate(rows, head, tablefmt="github", floatfmt=".2f")


def _program() -> list[str]:
    return [sys.executable, "-m", "recbole_apa"]


def _text(value: object) -> str:
    return json.dumps(value) if isinstance(value, (dict, list)) else str(value)


def _backbone(asked: str, folder: Path) -> str:
    if asked != "tiny":
        return asked
    from benchmarks.random_llama import plain_tokenizer, write_random_llama

    return str(write_random_llama(folder / "tiny", "tiny", "cpu", plain_tokenizer()))


def main() -> None:
    parser = command(__doc__, threads=1)
    parser.add_argument("--rows", type=lambda text: int(text.replace("_", "")), default=1_000_000)
    parser.add_argument("--requests", type=int, default=10, help="requests of the stream")
    parser.add_argument("--parts", default=",".join(PARTS), help="which, in order (default: all)")
    parser.add_argument(
        "--backbone", default="smollm2-135m", help="or tiny: a Llama of four layers with random weights"
    )
    parser.add_argument(
        "--evidence", default="counts", choices=("counts", "none"), help="whether the run keeps these statistics"
    )
    parser.add_argument("--place", type=Path, help="where data and run go (default: a temporary folder)")
    given = begin(parser)
    if given.small:
        given.rows, given.requests, given.backbone = 6_000, 2, "tiny"
    parts = given.parts.split(",")
    unknown = sorted({*parts} - {*PARTS})
    if unknown:
        parser.error(f"--parts: found {unknown[0]!r}, expected some of {', '.join(PARTS)}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.place or Path(scratch)
        write_data(folder, given.rows)
        place = Place(folder, _backbone(given.backbone, folder), given.requests, given.evidence)
        record = {
            "rows": given.rows,
            "file_bytes": place.interactions.stat().st_size,
            "n_users": len(users_of_data(place.folder)),
            "backbone": given.backbone,
            "options": {**OPTIONS, "evidence": given.evidence, "baselines": []},
            "machine": machine(),
        }
        figures: dict[str, dict[str, Any]] = {}
        for part, found in measure(place, parts, given.threads):
            figures[part] = found
            keep(given, {**record, "figures": figures})
            print(f"{part}: {found['seconds']:.1f} s, {found['peak_bytes'] / 1e9:.2f} GB", flush=True)
    print(f"{given.rows:,} rows, backbone {given.backbone}, {given.threads} thread(s), {record['machine']}")
    print(table(figures))


if __name__ == "__main__":
    main()
