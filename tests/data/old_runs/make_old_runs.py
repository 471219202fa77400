"""Make run folders with the code of commit 86d8546, for tests that newer code opens what older code wrote.

Written for that commit's tree and run in a checkout of it: what it imports from ``recbole_apa`` and ``tests.conftest``
is there, and no longer here.

    cd CHECKOUT_OF_86d8546
    OMP_NUM_THREADS=1 python THIS_FILE [--folder FOLDER]           # default: beside this file
    OMP_NUM_THREADS=1 python THIS_FILE --check [--folder FOLDER]   # after moving FOLDER anywhere

Makes in FOLDER: ``backbone/`` (tests/conftest.py's), ``data/{board,gaps,dups,split}/``, and for each case
``NAME/run/`` (the run folder) with ``NAME/expected.json`` (what the old code says of it; see ``describe``):

    plain          trained; nothing forgotten
    forgotten      with keep_states; then user u3, item i4 and the pair (u7, i18, 7005) forgotten in three requests
    strict_reader  on gaps: an empty year (RecBole fills the mean) and a title ``NA`` (pandas reads it as missing)
    duplicates     on dups: repeated pairs, rm_dup_inter: first, user_inter_num_interval: [3,inf); nothing forgotten
    presplit       on split: benchmark_filename, which RecBole's filtering passes over; then user u3 "forgotten": the
                   certificate is there, and all rows of u3 are still used

A case is made in a process of its own, so that a run's manifest names its own logs alone. Everything but salts, times
and what hangs on them comes out the same each time on one machine. One thing differs from what a user of that commit
has: plotly's program (4.6 MB in each report.html) is replaced by a comment; nothing but a browser reads it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.path.insert(0, os.getcwd())

import recbole_apa  # noqa: I001  before torch
import plotly.offline

COMMIT = "86d8546"
HERE = Path(__file__).resolve().parent
NO_PLOTLY = "/* plotly.js was left out of this fixture */"
plotly.offline.get_plotlyjs = lambda: NO_PLOTLY  # before the package's own modules bind it

FORGET: dict[str, list[dict[str, Any]]] = {
    "plain": [],
    "forgotten": [{"users": ["u3"]}, {"items": ["i4"]}, {"interactions": [("u7", "i18", 7005)]}],
    "strict_reader": [],
    "duplicates": [],
    "presplit": [{"users": ["u3"]}],
}
"""Case -> the requests carried out one after another."""
DATASET = {"strict_reader": "gaps", "duplicates": "dups", "presplit": "split"}
"""Case -> dataset; the others are on board."""
OPTIONS: dict[str, dict[str, Any]] = {
    "forgotten": {"keep_states": True},
    "duplicates": {"rm_dup_inter": "first", "user_inter_num_interval": "[3,inf)"},
    "presplit": {"benchmark_filename": ["train", "valid", "test"]},
}
"""Case -> options beside those of tests/conftest.py."""


def write_gaps(folder: Path, board: Path) -> None:
    """The board with item i7's year empty and item i12's title ``NA``."""
    lines = (board / "board.item").read_text().splitlines()
    lines[1 + 7] = "i7\tOdd Film 7\t"
    lines[1 + 12] = "i12\tNA\t1992"
    folder.mkdir(parents=True)
    (folder / "gaps.item").write_text("\n".join(lines) + "\n")
    shutil.copyfile(board / "board.inter", folder / "gaps.inter")


def write_dups(folder: Path, board: Path) -> None:
    """The board, its times tenfold, with repeated pairs in between; no two rows have one time.

    u3 rates i16 three times and u5 rates i2 twice, with another answer than before; u8 rates i9 also before the board's
    own row. u12 has two rows; u13 has three, two of them of one pair: both fall to user_inter_num_interval.
    """
    head, *lines = (board / "board.inter").read_text().splitlines()
    rows = [f"{line}0" for line in lines]
    repeats = ["u3\ti16\t5\t30065", "u3\ti16\t2\t30085", "u5\ti2\t5\t50055", "u8\ti9\t5\t79000"]
    few = [f"u12\ti{i}\t5\t{120000 + i}" for i in (1, 2)] + [f"u13\ti{i // 2}\t5\t{130000 + i}" for i in (6, 7, 8)]
    times = [line.split("\t")[3] for line in [*rows, *repeats, *few]]
    assert len(set(times)) == len(times)
    folder.mkdir(parents=True)
    # some repeats stand before the row they repeat: RecBole sorts by time
    (folder / "dups.inter").write_text("\n".join([head, *repeats[1:], *rows, repeats[0], *few]) + "\n")
    shutil.copyfile(board / "board.item", folder / "dups.item")


def write_split(folder: Path, board: Path) -> None:
    """The board in three files: of each user the first 12 rows for training, 2 for validation, 2 for test."""
    head, *lines = (board / "board.inter").read_text().splitlines()
    folder.mkdir(parents=True)
    for name, first, last in (("train", 0, 12), ("valid", 12, 14), ("test", 14, 16)):
        own = [line for i, line in enumerate(lines) if first <= i % 16 < last]
        (folder / f"split.{name}.inter").write_text("\n".join([head, *own]) + "\n")
    shutil.copyfile(board / "board.item", folder / "split.item")


def write_inputs(folder: Path) -> None:
    """``backbone/`` and ``data/``."""
    from tests.conftest import backbone_folder, write_board

    def make_backbone(_: str) -> Path:
        (folder / "backbone").mkdir()
        return folder / "backbone"

    backbone_folder._get_wrapped_function()(SimpleNamespace(mktemp=make_backbone))
    data = folder / "data"
    data.mkdir()
    write_board(data / "board", timestamps=True)
    write_gaps(data / "gaps", data / "board")
    write_dups(data / "dups", data / "board")
    write_split(data / "split", data / "board")


def make_case(folder: Path, name: str) -> None:
    """Train, forget, and write down what the code says of the run."""
    from recbole_apa import run, unlearn
    from tests.conftest import options

    settings = options._get_wrapped_function()(folder / "backbone", folder / "data") | OPTIONS.get(name, {})
    place = folder / name / "run"
    run("APA", DATASET.get(name, "board"), config_dict=settings, run_dir=place)
    for request in FORGET[name]:
        result = unlearn(place, **request)
        print(f"{name}: {request}: {result.plan.n_interactions} interactions, {len(result.plan.affected)} affected")
    write_json(folder / name / "expected.json", {"commit": COMMIT, "forget": FORGET[name], **describe(place)})
    (place / ".lock").unlink()  # empty; left by whatever writes, verification too


def describe(place: Path, config_dict: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the imported code says of a run: figures, audit, verification, digests, samples and the items' wording.

    In ``samples``, split -> sample id -> ``label`` and ``history`` ([item, label, interaction id], oldest first).
    ``item_texts`` holds RecBole's padding item ``[PAD]`` too: its wording is part of the dataset's digest.
    """
    from recbole_apa import audit, evaluate_run, verify

    loaded = evaluate_run(place, config_dict)
    audited, verified = audit(place, config_dict), verify(place, config_dict)
    part = loaded.data[0]._dataset
    manifest = json.loads((place / "manifest.json").read_text())
    samples = {
        split: {
            s.sample_id: {"label": s.label, "history": [[e.item_id, e.label, e.interaction_id] for e in s.history]}
            for s in found
        }
        for split, found in part.splits.items()
    }
    tokens = part.field2id_token[part.iid_field]
    texts = {str(token): text for token, text in zip(tokens, part.item_texts, strict=True) if text}
    return {
        "metrics": {k: float(v) for k, v in loaded.metrics.items()},
        "audit": {"holds": audited.holds, "findings": audited.findings, "head": audited.head},
        "verify": {"holds": verified.holds, "differences": verified.differences},
        "dataset": manifest["dataset"],
        "backbone": manifest["backbone"],
        "n_forgotten": len(manifest["forgotten"]),
        "samples": samples,
        "item_texts": dict(sorted(texts.items(), key=lambda pair: (len(pair[0]), pair[0]))),
    }


def check_case(folder: Path, name: str) -> bool:
    """Whether the imported code says of a run, wherever it lies now, just what ``expected.json`` holds."""
    moved = {"data_path": str(folder / "data"), "backbone": str(folder / "backbone")}
    expected = json.loads((folder / name / "expected.json").read_text())
    found = json.loads(json.dumps(describe(folder / name / "run", moved)))
    # verification compares adapter_config.json, which names the backbone by its path
    found["verify"]["differences"] = [d for d in found["verify"]["differences"] if "adapter_config.json" not in d]
    found["verify"]["holds"] = not found["verify"]["differences"]
    differing = {k for k in found if k != "metrics" and found[k] != expected[k]}
    old, new = ({k: v for k, v in d["metrics"].items() if not k.endswith("_seconds")} for d in (expected, found))
    differing |= {f"{k}: {old.get(k)} -> {new.get(k)}" for k in old.keys() | new.keys() if old.get(k) != new.get(k)}
    print(f"{name}: {len(old)} figures, {'all equal' if not differing else sorted(differing)}")
    return not differing


def write_json(path: Path, value: Any) -> None:
    """Keys in the order given; what fits goes on one line."""
    path.write_text(_laid_out(value, "") + "\n")


def _laid_out(value: Any, indent: str) -> str:
    line = json.dumps(value, ensure_ascii=False)
    if len(indent + line) <= 140 or not isinstance(value, (dict, list)):
        return line
    inner = indent + " "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(k)}: {_laid_out(v, inner)}" for k, v in value.items()]
    else:
        parts = [inner + _laid_out(v, inner) for v in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([opening, ",\n".join(parts), indent + closing])


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=HERE)
    parser.add_argument("--check", action="store_true", help="compare with expected.json")
    parser.add_argument("--case", choices=FORGET, help="this one alone, in this process")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    if asked.case and asked.check:
        return 0 if check_case(folder, asked.case) else 1
    if asked.case:
        make_case(folder, asked.case)
        return 0
    print(f"recbole_apa of {Path(recbole_apa.__file__).parent}")
    if not asked.check:
        for name in ("backbone", "data", *FORGET):
            shutil.rmtree(folder / name, ignore_errors=True)
        write_inputs(folder)
    status = 0
    # RecBole writes logs where it is started
    with tempfile.TemporaryDirectory() as work:
        environment = os.environ | {"PYTHONPATH": os.getcwd(), "TOKENIZERS_PARALLELISM": "false"}
        for name in FORGET:
            command = [sys.executable, __file__, "--folder", str(folder), "--case", name]
            done = subprocess.run(command + ["--check"] * asked.check, cwd=work, env=environment, check=False)
            status |= done.returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
