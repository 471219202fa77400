"""Runs the benchmarks one after another.

python benchmarks/run.py --all --small      shows that each runs, not how fast (CI)
python benchmarks/run.py inference          one of them, in full; its record goes to benchmarks/results/
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = "benchmarks/results"

# name -> what follows `python -m benchmarks.`, in full and small; OUT is a folder
COMMANDS = {
    "inference": ("inference --out=OUT/inference.json", "inference --small --out=OUT/inference.json"),
    "training": ("training --out=OUT/training.json", "training --small --out=OUT/training.json"),
    "ranking": ("ranking --out=OUT/ranking.json", "ranking --small --out=OUT/ranking.json"),
    "compile": ("compile --out=OUT/compile.json", "compile --small --out=OUT/compile.json"),
    "many-shards": ("many_shards --out=OUT/many_shards.json", "many_shards --small --out=OUT/many_shards.json"),
    "loading": ("loading --out=OUT/loading.json", "loading --small --out=OUT/loading.json"),
    "partition": ("partition --out=OUT/partition.json", "partition --small --out=OUT/partition.json"),
    "index": ("index --out=OUT/index.json", "index --small --out=OUT/index.json"),
    "neighbours": ("neighbours --out=OUT/neighbours.json", "neighbours --small --out=OUT/neighbours.json"),
    "hot-path": ("hot_path --out=OUT/hot_path.json", "hot_path --small --out=OUT/hot_path.json"),
    "gpu": ("gpu --out=OUT/gpu", "gpu --small --device=cpu --threads=1 --out=OUT/gpu"),
    "growth": ("growth --out=OUT/growth.json", "growth --small --out=OUT/growth.json"),
    "unlearning-cost": (
        "unlearning --part=cost --shards=4,8 --states=warm,cold,disk --tallrec --out=OUT/unlearning_cost.json",
        "unlearning --part=cost --shards=2 --states=warm,disk --tallrec --train_samples=16 --valid_samples=4 "
        "--test_samples=4 --out=OUT/unlearning_cost.json",
    ),
    "drawn-requests": (
        "drawn_requests --out=OUT/drawn_requests.json",
        "drawn_requests --small --out=OUT/drawn_requests.json",
    ),
    "requests-at-size": (
        "requests_at_size --out=OUT/requests_1m.json",
        "requests_at_size --small --out=OUT/requests_1m.json",
    ),
    "step-sizes": ("step_sizes --out=OUT/step-sizes", "step_sizes --small --out=OUT/step-sizes"),
    "evidence-with-models": (
        "evidence_with_models --out=OUT/evidence_with_models.json",
        "evidence_with_models --small --out=OUT/evidence_with_models.json",
    ),
    "next-item-quantised": (
        "next_item_quantised --out=OUT/next_item_quantised.json",
        "next_item_quantised --small --out=OUT/next_item_quantised.json",
    ),
    "slices-quality": (
        "slices_quality --folder=OUT/slices-quality",
        "slices_quality --small --folder=OUT/slices-quality",
    ),
    "unlearning-stream": (
        "unlearning --part=stream --requests=20 --out=OUT/unlearning_stream.json",
        "unlearning --part=stream --requests=4 --train_samples=24 --valid_samples=4 --test_samples=8 "
        "--out=OUT/unlearning_stream.json",
    ),
}


def main() -> int:
    """Run them; returns the status of the first benchmark that fails, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *COMMANDS], help=", ".join(COMMANDS))
    parser.add_argument("--all", action="store_true", help="all but gpu; with --small also gpu")
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    names = [n for n in COMMANDS if given.small or n != "gpu"] if given.all else given.names
    if not names:
        parser.error(f"found no name, expected --all or some of {', '.join(COMMANDS)}")
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            words = COMMANDS[name][given.small].replace("OUT", scratch if given.small else RESULTS).split()
            command = [sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:]]
            print("+ " + " ".join(command[1:]), flush=True)
            status = subprocess.run(command, cwd=ROOT, check=False).returncode
            if status:
                return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
