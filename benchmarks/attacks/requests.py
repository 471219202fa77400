"""Give a run request files that are malformed or odd, and hold what it would forget against a second reading.

python -m benchmarks.attacks.requests --out=requests.jsonl --n=10000               # again, and it goes on
python -m benchmarks.attacks.requests --out=requests.jsonl --n=10000 --case=4711   # one file, and what becomes of it

request_oracle.py reads each file by rules of its own: it has to be refused, or comes to exactly these rows. The run
plans the request (a dry run, in this process) and what it would hide from its data is compared: never wider. A refusal
is a RequestError that names a line, and leaves every file of the run as it was; anything else that is raised is a
finding.
"""

import argparse
import logging
import os
import re
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.attacks.processes import warm
from benchmarks.attacks.record import Record, table
from benchmarks.attacks.request_cases import GONE, RequestCase, draw_case, is_gone, make_rows
from benchmarks.attacks.request_oracle import Oracle, Row, Verdict
from benchmarks.attacks.tiny import write_tiny

FORGOTTEN, REFUSED, RAISED = "forgotten", "refused", "raised"
NOTHING_LEFT = "without what is to be forgotten"


class Target:
    """A run that has forgotten something, and is open.

    Args:
        folder: a new one; everything happens in it.
    """

    def __init__(self, folder: Path) -> None:
        os.environ["RECBOLE_APA_KEY_FILE"] = str(folder / "keys.json")
        os.environ["RECBOLE_APA_CACHE"] = str(folder / "cache")
        logging.disable(logging.WARNING)
        from recbole_apa import run, unlearn

        self.rows = [row for row in make_rows() if not is_gone(row)]
        options = write_tiny(folder)
        _write_rows(Path(options["data_path"]) / "board", make_rows())
        work = folder / "work"
        work.mkdir()
        os.chdir(work)
        self.folder, self.run_dir = folder, folder / "run"
        made = run("APA", "board", config_dict=options, run_dir=self.run_dir)
        done = unlearn(made, users=[GONE[0]], interactions=[GONE[1]])
        self.opened = done.outcomes[-1].result
        self.before = self.stamps()

    def stamps(self) -> dict[str, tuple[int, ...]]:
        """Every file, and when it was last written."""
        out = {}
        for path in [*self.run_dir.rglob("*"), self.folder / "keys.json"]:
            about = path.lstat()
            if path.is_file() and not path.name.startswith(".lock"):
                out[str(path)] = (about.st_ino, about.st_size, about.st_mtime_ns)
        return out

    def plan(self, case: RequestCase) -> tuple[str, Any]:
        """What becomes of a file: the rows that would be hidden, or what was raised."""
        from recbole_apa import unlearn
        from recbole_apa.core.errors import RequestError
        from recbole_apa.unlearning import prepare

        path = self.folder / f"request{case.ending}"
        path.write_bytes(case.data)
        kept: list[Any] = []
        original = prepare.data_without

        def data_without(*args: Any, **kwargs: Any) -> Any:
            kept.append(original(*args, **kwargs))
            return kept[-1]

        prepare.data_without = data_without
        try:
            unlearn(self.opened, path, columns=case.columns or None, skip_unknown=case.skip, dry_run=True)
        except RequestError as error:
            return REFUSED, str(error)
        except Exception:  # whatever it was is a finding
            return RAISED, traceback.format_exc()
        finally:
            prepare.data_without = original
        left = kept[-1].train_set.raw_interactions
        rows = zip(left.users, left.items, left.values.tolist(), left.times.tolist(), strict=True)
        return FORGOTTEN, Counter(self.rows) - Counter((str(u), str(i), float(r), float(t)) for u, i, r, t in rows)


def _write_rows(folder: Path, rows: list[Row]) -> None:
    """The dataset, in place of the tiny one."""
    lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float"]
    lines += ["\t".join(map(str, row)) for row in rows]
    (folder / f"{folder.name}.inter").write_text("\n".join(lines) + "\n", encoding="utf-8")
    items = ["item_id:token\ttitle:token_seq\tyear:float"]
    items += [f"{item}\tFilm {n}\t{1980 + n}" for n, item in enumerate(sorted({row[1] for row in rows}))]
    (folder / f"{folder.name}.item").write_text("\n".join(items) + "\n", encoding="utf-8")


def compare(verdict: Verdict, rows: list[Row], what: str, came: Any) -> str:
    """What is wrong; "" where nothing is."""
    if what == RAISED:
        return f"raised: {came[-600:]}"
    if what == FORGOTTEN:
        if verdict.rows is None:
            return f"wider: {sum(came.values())} rows would be forgotten of a file to be refused ({verdict.why})"
        expected = Counter(rows[n] for n in verdict.rows)
        if came == expected:
            return ""
        return f"{'wider' if came - expected else 'narrower'}: {sorted(came)}, expected {sorted(expected)}"
    if verdict.rows is not None and not verdict.unsure and NOTHING_LEFT not in came:
        return f"refused although it is right: {came[:300]}"
    if verdict.lines and not any(re.search(rf"line {n}\b", came) for n in verdict.lines):
        return f"refused without its line (one of {sorted(verdict.lines)[:5]}): {came[:300]}"
    return ""


def play(target: Target, number: int, case: RequestCase) -> dict[str, Any]:
    """A line of the record."""
    start = time.perf_counter()
    verdict = Oracle(target.rows, case.columns, case.skip).judge(case.data, case.ending)
    what, came = target.plan(case)
    why = compare(verdict, target.rows, what, came)
    stamps = target.stamps()
    if stamps != target.before:
        why = why or "a file of the run was written"
        target.before = stamps
    expected = "refused" if verdict.rows is None else "either" if verdict.unsure else "rows"
    about: Mapping[str, Any] = {"case": number, "kind": case.kind, "ending": case.ending, "expected": expected}
    seconds = round(time.perf_counter() - start, 3)
    return {**about, "came": what, "lost": bool(why), "why": why, "seconds": seconds}


def summary(record: Record) -> str:
    """Kind x files x what became of them x lost."""
    rows = []
    for kind in dict.fromkeys(line["kind"] for line in record.lines):
        lines = [line for line in record.lines if line["kind"] == kind]
        came = Counter(line["came"] for line in lines)
        rows.append((kind, len(lines), came[FORGOTTEN], came[REFUSED], sum(line["lost"] for line in lines)))
    rows.append(("all", *(sum(row[i] for row in rows) for i in range(1, 5))))
    return table(("kind", "files", "served", "refused", "wrong"), rows)


def attack(target: Target, record: Record, n: int, seconds: float, seed: int) -> None:
    """Play the first ``n`` files but for those that the record has, until the time is over."""
    end = time.monotonic() + seconds
    for number in range(n):
        if number in record.known:
            continue
        if time.monotonic() > end:
            return
        line = play(target, number, draw_case(number, make_rows(), seed))
        record.add(line)
        if line["lost"]:
            print(f"WRONG {number} ({line['kind']}, {line['ending']}): {line['why'][-500:]}", flush=True)


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="a JSON line for each file; what is there is kept")
    parser.add_argument("--n", type=int, default=10_000, help="how many files")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for how long")
    parser.add_argument("--seed", type=int, default=0, help="other files")
    parser.add_argument("--case", type=int, help="show this file alone")
    given = parser.parse_args()
    warm()
    folder = Path(tempfile.mkdtemp(prefix="requests-"))
    out = given.out.resolve()
    try:
        target = Target(folder)
        if given.case is not None:
            case = draw_case(given.case, make_rows(), given.seed)
            print(case, play(target, given.case, case), sep="\n")
            return 0
        record = Record(out)
        attack(target, record, given.n, given.seconds, given.seed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(summary(record))
    return int(any(line["lost"] for line in record.lines))


if __name__ == "__main__":
    sys.exit(_main())
