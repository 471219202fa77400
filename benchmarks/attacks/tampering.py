"""Tamper with every kind of file of a run, in every way and at every class of bytes, and audit it each time.

python -m benchmarks.attacks.tampering --out=/tmp/tampering.jsonl --n=1000      # goes on where it stopped

A tiny run that has served requests is tampered with in one place at a time, and mended; so is the manifest of one that
has served none. Its tensors are forged, too, with digests that fit. The audit has to give a finding, or a RunError;
what passes, or ends otherwise, is lost. A line of JSON for each case goes to ``--out``.
"""

import argparse
import json
import logging
import os
import shutil
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from tabulate import tabulate

from benchmarks.attacks.forged_statistics import forged_statistics
from benchmarks.attacks.forged_tensors import forgeries
from benchmarks.attacks.tampered_files import Tampering, tampered, tamperings
from benchmarks.board import board_options
from recbole_apa import audit, run, unlearn
from recbole_apa.core.errors import APAError, RunError
from recbole_apa.runs.store import RunStore

TINY = Path(__file__).resolve().parents[2] / "tests" / "data" / "old_runs"
FOUND, REFUSED, PASSED, BROKE = "found", "refused", "passed", "broke"
CONTROL = 50
"""After so many cases the copy is audited as it is: it has to hold."""


def make_runs(served: Path, plain: Path) -> None:
    """``run/``, which has served two requests, and ``export/`` below ``served``; the same run before them below
    ``plain``, without an export."""
    options = {
        **board_options(TINY / "data", TINY / "backbone"),
        "epochs": 1,
        "learning_rate": 0.003,
        "keep_states": True,
        "export_samples": str(served / "export"),
    }
    run("APA", "board", config_dict=options, run_dir=served / "run")
    shutil.copytree(served / "run", plain / "run")
    store = RunStore(plain / "run")
    store.write_manifest({**store.manifest(), "outside": {}})
    unlearn(served / "run", users=["u3"])
    unlearn(served / "run", interactions=[("u5", "i2")])


def kind_of_file(name: str) -> str:
    """``run/shards/001/training.json`` is of the kind ``shards/training.json``."""
    parts = [p for p in name.split("/") if p != "run"]
    if parts[0] == "certificates":
        return f"certificates/*{Path(name).suffix}"
    return "/".join(p for p in parts if not p.isdigit())


def cases(root: Path, per_class: int, seed: int) -> list[Tampering]:
    """All that is done, of every kind of file in turn: whatever part of it is done is a sample of all."""
    names = sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and p.name != ".recbole-apa-run")
    by_kind: dict[str, list[Tampering]] = {}
    for case in tamperings(root, names, per_class, seed):
        by_kind.setdefault(kind_of_file(case.file), []).append(case)
    out = []
    for place in range(max(map(len, by_kind.values()))):
        out += [group[place] for group in by_kind.values() if place < len(group)]
    return out


def outcome(folder: Path, places: Mapping[str, Any]) -> tuple[str, str]:
    """What the audit makes of a folder, and the first thing that it says."""
    try:
        result = audit(folder, places)
    except RunError as error:
        return REFUSED, str(error)
    except APAError as error:
        return BROKE, f"{type(error).__name__}: {error}"
    except Exception:  # whatever it is, it is what this looks for
        return BROKE, traceback.format_exc()[-1500:]
    return (PASSED, "; ".join(result.notices)) if result.holds else (FOUND, result.findings[0])


def attack(root: Path, todo: Iterable[Tampering], end: float, label: str = "") -> Iterator[dict[str, Any]]:
    """The record of each case: ``kind``, ``how``, ``outcome``, ``says``, ``seconds``.

    Args:
        end: when to stop, in ``time.monotonic``'s seconds.
        label: said before case and kind.

    Raises:
        RuntimeError: the copy does not hold although nothing is tampered with.
    """
    groups: dict[str, list[str]] = {}
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        name = str(path.relative_to(root))
        groups.setdefault(kind_of_file(name), []).append(name)
    for number, case in enumerate(todo, start=1):
        if time.monotonic() > end:
            return
        start = time.monotonic()
        with tampered(root, case, groups.get(kind_of_file(case.file), [])) as differs:
            result, says = outcome(root / "run", {}) if differs else ("as it was", "")
        took = round(time.monotonic() - start, 3)
        yield {
            "case": label + case.name,
            "kind": label + kind_of_file(case.file),
            "how": case.how,
            "outcome": result,
            "says": says,
            "seconds": took,
        }
        if number % CONTROL == 0 and outcome(root / "run", {})[0] != PASSED:
            raise RuntimeError(f"the copy is not what it was after {case.name}: {outcome(root / 'run', {})}")


def table(records: Iterable[Mapping[str, Any]]) -> str:
    """Counts by kind of file."""
    counts: dict[str, Counter[str]] = {}
    for record in records:
        counts.setdefault(record["kind"], Counter())[record["outcome"]] += 1
    order = [FOUND, REFUSED, PASSED, BROKE]
    rows = [[kind, sum(c[o] for o in order), *(c[o] for o in order)] for kind, c in sorted(counts.items())]
    rows.append(["all", *(sum(row[n] for row in rows) for n in range(1, len(order) + 2))])
    return tabulate(rows, headers=["kind of file", "cases", *order], tablefmt="github")


def read_records(path: Path) -> list[dict[str, Any]]:
    """What an earlier call left; a line that was cut off is none."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a line of JSON for each case; taken up again")
    parser.add_argument("--n", type=int, default=10**9, help="how many cases, those of earlier calls included")
    parser.add_argument("--per_class", type=int, default=3, help="positions of each class of bytes")
    parser.add_argument("--seconds", type=float, default=1e9, help="how long at most")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    given.out = given.out.resolve()
    records = read_records(given.out)
    done = {record["case"] for record in records}
    end = time.monotonic() + given.seconds
    with tempfile.TemporaryDirectory(prefix="tampering-") as name, open(given.out, "a", encoding="utf-8") as file:
        os.chdir(name)  # RecBole writes its logs where it is started
        served, plain = (Path(name).resolve() / part for part in ("served", "plain"))
        make_runs(served, plain)
        forged = (
            record
            for made in (forged_statistics, forgeries)
            for record in made(plain / "run", outcome)
            if record["case"] not in done
        )
        bare = [case for case in cases(plain, given.per_class, given.seed) if case.file == "run/manifest.json"]
        series = ((plain, bare, "no request, "), (served, cases(served, given.per_class, given.seed), ""))
        tried = (
            record
            for root, todo, label in series
            for record in attack(root, [case for case in todo if label + case.name not in done], end, label)
        )
        for record in chain(forged, tried):
            if len(records) >= given.n:
                break
            records.append(record)
            file.write(json.dumps(record) + "\n")
            file.flush()
    print(table(records))
    lost = [record for record in records if record["outcome"] in (PASSED, BROKE)]
    for record in lost[:20]:
        print(f"{record['outcome']}: {record['case']}: {record['says'][-300:]}")
    print(f"{len(records)} cases, {len(lost)} lost, {sum(r['seconds'] for r in records) / 3600:.2f} hours")
    return 1 if lost else 0


if __name__ == "__main__":
    raise SystemExit(main())
