"""A small dataset whose likes follow a rule, and the options of a run on it that takes seconds."""

from pathlib import Path
from typing import Any


def write_board(folder: Path, timestamps: bool, n_users: int = 12, n_items: int = 20) -> None:
    """Write the checkerboard as RecBole's atomic files."""
    folder.mkdir()
    head = "user_id:token\titem_id:token\trating:float" + ("\ttimestamp:float" if timestamps else "")
    lines = [head]
    for user in range(n_users):
        for step in range(16):
            item = (step * 3 + user // 2) % n_items
            rating = 5 if (user + item) % 2 == 0 else 2
            lines.append(f"u{user}\ti{item}\t{rating}" + (f"\t{1000 * user + step}" if timestamps else ""))
    (folder / f"{folder.name}.inter").write_text("\n".join(lines) + "\n")
    items = ["item_id:token\ttitle:token_seq\tyear:float"]
    items += [f"i{i}\t{'Even' if i % 2 == 0 else 'Odd'} Film {i}\t{1980 + i}" for i in range(n_items)]
    (folder / f"{folder.name}.item").write_text("\n".join(items) + "\n")


def board_options(data: Path, backbone: Path) -> dict[str, Any]:
    """Options of a run on ``board``.

    Args:
        data: the folder that contains ``board``.
        backbone: a folder with a small language model.
    """
    return {
        "data_path": str(data),
        "backbone": str(backbone),
        "dtype": "float32",
        "trunk_layers": 2,
        "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "title", "year"]},
        "item_text": "{title} ({year})",
        "MAX_ITEM_LIST_LENGTH": 4,
        "train_samples": 30,
        "valid_samples": 12,
        "test_samples": 12,
        "n_shards": 3,
        "partition": "semantic",
        "shard_slices": 1,
        "epochs": 2,
        "train_batch_size": 4,
        "learning_rate": 0.01,
        "show_progress": False,
        "variants": "all",
        "baselines": [],
        "seed": 1,
    }
