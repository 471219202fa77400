"""How far each approximate method should move the adapter, tried on development rows with a request of their own.

    python -m benchmarks.step_sizes --out=DIR
    python -m benchmarks.step_sizes --out=DIR --only=RapidUn,LLMEraser
    python -m benchmarks.step_sizes --out=DIR --small

The rows that the protocol tests on are first removed from the dataset (benchmarks/development.py); then every method
forgets a tenth of the training users with every step size. The best answers are those closest to retraining's. Rows
that are already in --out are not measured again.
"""

import tempfile
from pathlib import Path

from benchmarks.command import begin, command
from benchmarks.development import write_development_data
from recbole_apa import compare_forgetting
from recbole_apa.comparison.forget_task import ForgetRequest
from recbole_apa.comparison.row import DONE, Row

MOVED = ("GradAscent", "GradDiff", "RapidUn", "NPO", "SimNPO", "BadT", "BadT-flip", "E2URec")
SHARES = (0.03, 0.1, 0.3)
DAMPINGS = (0.001, 0.01, 0.1, 1.0)
REQUEST = ForgetRequest(users_ratio=0.1)


def names(shares: tuple[float, ...], dampings: tuple[float, ...]) -> list[str]:
    """Every method with every step size."""
    moved = [f"{name}:rate_share={share:g}" for name in MOVED for share in shares]
    return moved + [f"LLMEraser:damping={damping:g}" for damping in dampings]


def nearest(rows: list[Row]) -> dict[str, str]:
    """By method, the setting whose answers on the forgotten samples are closest to retraining's."""
    best: dict[str, Row] = {}
    for row in rows:
        name, given, _ = row.method.partition(":")
        if given and row.status == DONE:
            best[name] = min(best.get(name, row), row, key=lambda r: r.figures["js_divergence"])
    return {name: row.method.partition(":")[2] for name, row in best.items()}


def main() -> None:
    parser = command(__doc__)
    parser.add_argument("--train_samples", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=10, help="after one pass there is hardly anything to forget")
    parser.add_argument("--only", help="methods to try, separated by commas (default: all)")
    given = begin(parser)
    options = {
        "protocol": "tallrec",
        "train_samples": given.train_samples,
        "epochs": given.epochs,
        "trunk_layers": 0.75,
        "valid_samples": 60,
        "test_samples": 120,
        "show_progress": False,
    }
    tried = names(SHARES, DAMPINGS)
    if given.small:
        options |= {"train_samples": 24, "epochs": 1, "valid_samples": 8, "test_samples": 8}
        tried = names((0.1,), (0.1,))[-2:]
    if given.only:
        tried = [name for name in tried if name.partition(":")[0] in given.only.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        options["data_path"] = str(write_development_data(Path(folder)))
        result = compare_forgetting(tried, REQUEST, "ml-100k", config_dict=options, folder=given.out)
    print(result.table)
    print(f"nearest to retraining: {nearest(result.rows)}")


if __name__ == "__main__":
    main()
