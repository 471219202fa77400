"""A small dataset that tests spoil in one place, as people's files are."""

from pathlib import Path

from recbole_apa import APAConfig
from recbole_apa.data.samples import Sample
from recbole_apa.pipeline.datasets import make_dataset

OPTIONS = {
    "load_col": {"inter": ["user_id", "item_id", "rating", "timestamp"], "item": ["item_id", "title", "year"]},
    "item_text": "{title} ({year})",
    "threshold": {"rating": 4},
    "train_samples": None,
    "valid_samples": None,
    "test_samples": None,
    "MAX_ITEM_LIST_LENGTH": 3,
    "show_progress": False,
}
HEAD = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
ITEM_HEAD = "item_id:token\ttitle:token_seq\tyear:float"


class Files:
    """Atomic files that tests spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.inter = [HEAD]
        for u in range(4):
            for s in range(8):
                i = (s * 3 + u) % 8
                self.inter.append(f"u{u}\ti{i}\t{5 if (u * u + i + s) % 3 < 2 else 2}\t{1000 * u + s}")
        self.item = [ITEM_HEAD, *(f"i{i}\tFilm Number {i}\t{1980 + i}" for i in range(8))]

    def write(self, encoding: str = "utf-8") -> "Files":
        for kind in ("inter", "item"):
            text = "\n".join(getattr(self, kind)) + "\n"
            (self.folder / f"small.{kind}").write_text(text, encoding=encoding, newline="")
        return self

    def build(self, **options):
        config = APAConfig("APA", "small", config_dict={**OPTIONS, "data_path": str(self.folder.parent), **options})
        return make_dataset(config).build()

    def samples(self, user: str = "u0", **options) -> list[Sample]:
        """All samples of a user by time."""
        found = [s for part in self.build(**options) for s in part.samples if s.user_id == user]
        return sorted(found, key=lambda s: int(s.sample_id.split(":")[2]))

    def texts(self, **options) -> dict[str, str]:
        part = self.build(**options)[0]
        return dict(zip(map(str, part.field2id_token["item_id"]), part.item_texts, strict=True))


def presplit(files: Files) -> Files:
    """The same rows in three files: each user's last row for testing, the one before for validation."""
    files.write()
    parts = {"train": range(6), "valid": [6], "test": [7]}
    for name, places in parts.items():
        lines = [line for line in files.inter[1:] if int(line.split("\t")[3]) % 1000 in places]
        (files.folder / f"small.{name}.inter").write_text("\n".join([HEAD, *lines]) + "\n")
    (files.folder / "small.inter").unlink()
    return files
