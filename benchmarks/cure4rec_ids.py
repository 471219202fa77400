"""Map CURE4Rec's numbers to a dataset's ids: writes the two files that ``--unlearn_ids`` takes.

CURE4Rec (data/ml-100k/pro.ipynb) keeps users and items with at least five interactions, and then numbers users by their
raw number minus one, items by first appearance. Ratings and times of its sets show whether a map is right.

    python -m benchmarks.cure4rec_ids --inter=FILE.inter --out=DIR
    python run_recbole_apa.py --run=RUN --unlearn="core_data_5%.csv" \\
        --unlearn_columns="{user_id: uid, item_id: iid, rating: val, timestamp: tag}" \\
        --unlearn_ids="{user_id: DIR/users.csv, item_id: DIR/items.csv}"
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from recbole_apa.data.filters import FilterSettings, Tables, filter_tables
from recbole_apa.data.reader import read_table

USER, ITEM = "user_id", "item_id"


def cure4rec_numbers(inter: Path) -> tuple[dict[int, str], dict[int, str]]:
    """CURE4Rec's number -> the dataset's token, for users and for items."""
    table = read_table(inter)
    kept = filter_tables(Tables(table), FilterSettings(USER, ITEM, "", None, {}, True, "[5,inf)", "[5,inf)")).inter
    users = {int(name) - 1: name for name in kept.texts(USER).names}
    items = kept.texts(ITEM)
    codes, first = np.unique(items.codes, return_index=True)
    return users, {number: items.names[code] for number, code in enumerate(codes[np.argsort(first)])}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inter", type=Path, required=True, help="MovieLens 100k as RecBole's .inter file")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    for name, numbers in zip(("users", "items"), cure4rec_numbers(given.inter), strict=True):
        with open(given.out / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("cure4rec", USER if name == "users" else ITEM), *numbers.items()])
        print(f"{given.out / name}.csv: {len(numbers)} {name}")


if __name__ == "__main__":
    main()
