"""The samples as pre-split RecBole files, so that every RecBole model is trained and scored on the very same rows."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from recbole_apa.data.samples import Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.files import write_text

LIKES = "train_likes"
"""The training rows with label 1: what models that learn from likes alone are trained on."""
LABEL, ITEM_LIST = "label", "item_id_list"


def write_presplit(folder: Path, name: str, splits: Mapping[str, Sequence[Sample]], source: Path) -> None:
    """Write ``name.train.inter``, ``name.train_likes.inter``, ``name.valid.inter``, ``name.test.inter`` (RecBole's
    ``benchmark_filename``) in the order of the samples, and copy the item and user files of ``source``.

    Columns: user_id, item_id, label, and item_id_list, the history that APA's prompt shows, oldest first.

    Raises:
        RunError: the folder cannot be written.
    """
    head = f"user_id:token\titem_id:token\t{LABEL}:float\t{ITEM_LIST}:token_seq\n"
    parts = {**splits, LIKES: [s for s in splits["train"] if s.label]}
    for part in (*SPLITS, LIKES):
        write_text(folder / name / f"{name}.{part}.inter", head + "".join(map(_line, parts[part])))
    for kind in ("item", "user"):
        file = source / f"{source.name}.{kind}"
        if file.is_file():
            shutil.copyfile(file, folder / name / f"{name}.{kind}")


def _line(sample: Sample) -> str:
    history = " ".join(entry.item_id for entry in sample.history)
    return f"{sample.user_id}\t{sample.item_id}\t{sample.label}\t{history}\n"
