"""How commit 86d8546 read a dataset, through RecBole's own loader.

Kept to find which rows of a run made then are read differently now. Trains nothing.
"""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from recbole.data.dataset import Dataset
from recbole.utils import FeatureType

from recbole_apa.data.item_text import item_columns, write_item
from recbole_apa.data.samples import Interactions, order_windows
from recbole_apa.data.tokens import Tokens
from recbole_apa.data.visible_data import VisibleData, content_digest

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.utils import FeatureSource

_MOST_SHOWN = 10


@dataclass(frozen=True)
class Reading:
    """What was read of a dataset."""

    rows: Interactions
    texts: dict[str, str]
    """Item token -> its text."""
    digest: str


class _OldDataset(Dataset):
    """RecBole's dataset, with rows read and hidden as at that commit."""

    inter_feat: Any

    def __init__(self, config: "Config", visible_data: VisibleData) -> None:
        self.visible_data = visible_data
        super().__init__(config)

    def _load_feat(self, filepath: str, source: "FeatureSource | str") -> "pd.DataFrame | None":
        load = getattr(self, "recbole_load_feat", None) or super()._load_feat
        original = pd.read_csv
        pd.read_csv = partial(original, quoting=csv.QUOTE_NONE)
        try:
            return load(filepath, source)
        finally:
            pd.read_csv = original

    def _data_filtering(self) -> None:
        frame = self.inter_feat
        if self.visible_data.row_digests:
            times = frame[self.time_field].to_numpy(dtype=np.float64) if self.time_field in frame else None
            raw = _rows(frame[self.uid_field].tolist(), frame[self.iid_field].tolist(), np.zeros(len(frame)), times)
            keys = raw.row_keys(np.arange(len(raw)))
            hidden = [self.visible_data.hides(key) for key in keys]
            self.inter_feat = frame[~np.array(hidden)].reset_index(drop=True)
        super()._data_filtering()

    def reading(self, item_text: str) -> Reading:
        """The rows, item texts and their digest."""
        frame = self.inter_feat
        times = frame[self.time_field].to_numpy(dtype=np.float64) if self.time_field in frame else None
        users, items = (self.field2id_token[f][frame[f]].tolist() for f in (self.uid_field, self.iid_field))
        rows = _rows(users, items, frame[self.label_field].to_numpy(), times)
        tokens = self.field2id_token[self.iid_field]
        told: Any = self.item_feat
        names = item_columns(item_text, [c for c in told.columns if c != self.iid_field])
        columns = {name: self._words(told, name) for name in names}
        texts = [""] * self.item_num
        for row, item in enumerate(told[self.iid_field].tolist()):
            texts[item] = write_item(item_text, {n: c[row] for n, c in columns.items()}, str(tokens[item]))
        digest = content_digest(rows, order_windows(rows.users, rows.times), texts)
        return Reading(rows, dict(zip(map(str, tokens), texts, strict=True)), digest)

    def _words(self, frame: pd.DataFrame, name: str) -> list[object]:
        kind = self.field2type[name]
        if kind == FeatureType.TOKEN_SEQ:
            words = self.field2id_token[name]
            return [" ".join(words[int(i)] for i in row if i) for row in frame[name]]
        if kind == FeatureType.TOKEN:
            words = self.field2id_token[name]
            return [words[int(i)] if i else "" for i in frame[name]]
        out: list[Any] = frame[name].tolist()
        return out


def read_as_before(config: "Config", visible_data: VisibleData, item_text: str) -> Reading:
    """Read a dataset as commit 86d8546 did.

    Raises:
        Exception: whatever RecBole's loader raises on files that it cannot read.
    """
    return _OldDataset(config, visible_data).reading(item_text)


def differences(before: Reading, now: Reading) -> list[str]:
    """The differences between two readings, in words: rows, labels, item texts, order; the first ten of each."""
    was, is_now = (Counter(_lines(reading.rows)) for reading in (before, now))
    gone, new = sorted((was - is_now).elements()), sorted((is_now - was).elements())
    out = _some("was read and is not now", gone) + _some("was not read and is now", new)
    tokens = before.texts.keys() & now.texts.keys() - {"[PAD]"}
    changed = sorted(token for token in tokens if before.texts[token] != now.texts[token])
    shown = [f"item {t}: {before.texts[t]!r} is {now.texts[t]!r} now" for t in changed]
    out += _some("is written differently", shown)
    return out or ["the same rows are in another order, or other items are described"]


def _rows(users: Sequence[str], items: Sequence[str], labels: np.ndarray, times: np.ndarray | None) -> Interactions:
    texts = [[str(name) for name in names] for names in (users, items)]
    users, items = map(Tokens.of, texts)
    return Interactions(users, items, labels.astype(np.int64), times, plain_ids=True)


def _lines(rows: Interactions) -> list[str]:
    ids = rows.row_ids(np.arange(len(rows)))
    return [f"{name} ({'Yes' if label else 'No'})" for name, label in zip(ids, rows.labels.tolist(), strict=True)]


def _some(says: str, found: list[str]) -> list[str]:
    more = [f"... and {len(found) - _MOST_SHOWN} more"] if len(found) > _MOST_SHOWN else []
    return [f"{line} {says}" if "item " not in line[:5] else line for line in islice(found, _MOST_SHOWN)] + more
