"""RecBole's dataset whose rows are samples; the edge between RecBole's tables and ours."""

from collections.abc import Sequence
from logging import getLogger
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.utils import EvaluatorType, FeatureSource, FeatureType

from recbole_apa.data.atomic_files import without_quoting
from recbole_apa.data.item_text import item_columns, write_item
from recbole_apa.data.prompts import PromptInput
from recbole_apa.data.samples import Interactions, Sample, Windows, make_sample, order_windows
from recbole_apa.data.splits import SPLITS, draw_split, tallrec_split
from recbole_apa.data.view import DataView, content_digest
from recbole_apa.errors import DataError, SettingsError
from recbole_apa.recbole_settings import read_settings
from recbole_apa.settings import SampleSettings

SAMPLE_INDEX = "sample_index"
LABEL_LIST_SUFFIX = "_list"
_ROW = "apa_row"


class APADataset(Dataset):
    """Splits RecBole's interactions into samples.

    ``build`` returns three datasets (training, validation, test) whose rows hold user, target item, label and the
    history as ``item_id_list``, ``label_list`` (b, history_length; zeros on the right) and ``item_length``;
    ``sample_index`` points into the dataset's ``samples``. Only drawn samples are made.

    Attributes:
        samples: the samples, by ``sample_index``.
        labelled: all rows as an ``Interaction``, in the order of ``samples`` (ranking modes keep only liked rows
            in ``inter_feat``).
        item_texts: by internal item id.
        cutoffs: hash cutoffs of the draw, by split.
        train_rows: item token and label of every training target, drawn or not (for the trivial rules).
        content_digest: of all that may be seen of the dataset.
        interactions, windows: the rows the samples were made of.
        splits: samples of all three parts, by split.
        view: what may be seen: all rows, unless the run that the dataset is loaded for has forgotten some.
    """

    samples: list[Sample]
    labelled: Interaction
    item_texts: list[str]
    cutoffs: dict[str, str | None]
    train_rows: list[tuple[str, int]]
    time_field: str
    content_digest: str
    interactions: Interactions
    windows: Windows
    splits: dict[str, list[Sample]]
    inter_feat: Any

    def __init__(self, config: Any) -> None:
        self.view: DataView = getattr(config, "view", None) or DataView()
        super().__init__(config)

    def build(self) -> list["APADataset"]:
        """
        Raises:
            DataError: missing columns, or a split without samples.
        """
        settings = read_settings(self.config).samples
        self._check()
        frame: pd.DataFrame = self.inter_feat
        # plain tensors now: RecBole's own split sorts inter_feat in place, and keeps times in float32
        self._users = torch.tensor(frame[self.uid_field].to_numpy())
        self._items = torch.tensor(frame[self.iid_field].to_numpy())
        rows = self._interactions(frame)
        self.item_texts = self._item_texts(settings.item_text)
        windows = order_windows(rows.users, rows.times)
        self.content_digest = content_digest(rows, windows, self.item_texts)
        if settings.protocol == "tallrec":
            candidates = tallrec_split(windows)
            self._change_feat_format()
        else:
            candidates = self._recbole_split(frame, windows)
        targets = self._targets(candidates, rows, windows, settings)
        known = candidates["train"][windows.n_before[candidates["train"]] >= settings.min_history]
        judged = np.concatenate([targets["valid"], targets["test"]])
        known = known[~np.isin(known, judged)]
        self.train_rows = [(rows.items[row], int(rows.labels[row])) for row in known]
        self._declare_fields(settings)
        self.interactions, self.windows = rows, windows
        self.splits = {}  # shared by the three parts, which fill it
        return [self._part(name, targets[name], rows, windows, settings) for name in SPLITS]

    def item_tokens(self) -> list[str]:
        """Every item that has a text."""
        tokens = self.field2id_token[self.iid_field]
        return [str(token) for token, text in zip(tokens, self.item_texts, strict=True) if text]

    def items_with(self, column: str, word: str) -> list[str]:
        """Items whose text in a column of the ``.item`` file has a word, e.g. a genre.

        Raises:
            SettingsError: no such column, or no such item.
        """
        frame = self.item_feat
        columns = [] if frame is None else [c for c in frame.columns if c != self.iid_field]
        if column not in columns:
            raise SettingsError(f"found no column {column!r} of items, expected one of {', '.join(columns) or 'none'}")
        tokens = self.field2id_token[self.iid_field]
        texts = zip(frame[self.iid_field].tolist(), self._words(frame, column), strict=True)
        found = [str(tokens[item]) for item, text in texts if item and word in str(text).split()]
        if not found:
            raise SettingsError(f"found no item with {word!r} in its {column}; expected a word as the file has it")
        return found

    def prompt_inputs(self, samples: Sequence[Sample]) -> list[PromptInput]:
        """What the prompts of samples say, whatever split they are from."""
        tokens = self.field2id_token[self.iid_field]
        text_of = {str(token): text for token, text in zip(tokens, self.item_texts, strict=True)}
        return [
            PromptInput(tuple((text_of[e.item_id], e.label) for e in s.history), text_of[s.item_id]) for s in samples
        ]

    def _load_feat(self, filepath: str, source: Any) -> Any:
        with without_quoting():
            return super()._load_feat(filepath, source)

    def _data_filtering(self) -> None:
        # before RecBole's own filters: they must count as if the rows had never been there
        if self.view.forgotten:
            frame: pd.DataFrame = self.inter_feat
            self.inter_feat = frame[self.view.visible(self._raw_interactions(frame))].reset_index(drop=True)
        super()._data_filtering()

    def _raw_interactions(self, frame: pd.DataFrame) -> Interactions:
        times = frame[self.time_field].to_numpy(dtype=np.float64) if self.time_field in frame else None
        users, items = frame[self.uid_field].tolist(), frame[self.iid_field].tolist()
        return Interactions(users, items, np.zeros(len(frame), dtype=np.int64), times)

    def _targets(
        self, candidates: dict[str, np.ndarray], rows: Interactions, windows: Windows, settings: SampleSettings
    ) -> dict[str, np.ndarray]:
        if self.view.roles is not None:
            self.cutoffs = dict(self.view.cutoffs)
            return self.view.targets(rows, windows, settings.min_history)
        sizes = {name: getattr(settings, f"{name}_samples") for name in SPLITS}
        split = draw_split(candidates, rows, windows, settings.min_history, sizes)
        self.cutoffs = split.cutoffs
        return split.rows

    def _check(self) -> None:
        if not len(self.inter_feat):
            raise DataError("the dataset is empty after filtering; loosen val_interval and *_inter_num_interval")
        if self.label_field not in self.inter_feat:
            raise DataError(
                f"the interactions have no label; set threshold, e.g. {{rating: 4}} (found {list(self.inter_feat)})"
            )
        if self.config["normalize_all"] or self.config["normalize_field"]:
            raise SettingsError(
                "normalize_all / normalize_field: found set, expected false: sample ids hold real timestamps"
            )
        if self.config["save_dataset"] or self.config["save_dataloaders"]:
            raise SettingsError(
                "save_dataset / save_dataloaders: found set, expected false: RecBole's pickles would keep what is "
                "forgotten later"
            )

    def _interactions(self, frame: pd.DataFrame) -> Interactions:
        times = None
        if self.time_field in frame:
            times = frame[self.time_field].to_numpy(dtype=np.float64)
        else:
            getLogger().warning(
                f"the dataset has no column {self.config['TIME_FIELD']!r}: the order of rows stands in for time"
            )
        return Interactions(
            users=self.field2id_token[self.uid_field][frame[self.uid_field]].tolist(),
            items=self.field2id_token[self.iid_field][frame[self.iid_field]].tolist(),
            labels=frame[self.label_field].to_numpy(dtype=np.int64),
            times=times,
        )

    def _recbole_split(self, frame: pd.DataFrame, windows: Windows) -> dict[str, np.ndarray]:
        """Row numbers of RecBole's own split. Time is handed over as rank: exact in float32, and defined for
        datasets without timestamps."""
        if self.config["eval_args"]["order"] != "TO":
            getLogger().warning("eval_args.order is not TO: histories of training samples may hold test targets")
        self.inter_feat = frame.assign(**{_ROW: np.arange(len(frame)), "apa_rank": self._time_rank(frame)})
        self.set_field_property(_ROW, FeatureType.TOKEN, FeatureSource.INTERACTION, 1)
        self.set_field_property("apa_rank", FeatureType.FLOAT, FeatureSource.INTERACTION, 1)
        own_time: str = self.time_field
        self.time_field = "apa_rank"
        parts = super().build()
        self.time_field = own_time
        if len(parts) != len(SPLITS):
            raise SettingsError(f"eval_args.split gives {len(parts)} parts, expected train, valid and test")
        return {name: part.inter_feat[_ROW].numpy() for name, part in zip(SPLITS, parts, strict=True)}

    def _time_rank(self, frame: pd.DataFrame) -> np.ndarray:
        n = len(frame)
        if self.time_field not in frame:
            return np.arange(n, dtype=np.float64)
        rank = np.empty(n)
        rank[np.lexsort((np.arange(n), frame[self.time_field].to_numpy(dtype=np.float64)))] = np.arange(n)
        return rank

    def _item_texts(self, item_text: str) -> list[str]:
        frame = self.item_feat
        available = [] if frame is None else [c for c in frame.columns if c != self.iid_field]
        columns = {name: self._words(frame, name) for name in item_columns(item_text, available)}
        tokens = self.field2id_token[self.iid_field]
        texts = [""] * self.item_num
        for row, item in enumerate(frame[self.iid_field].tolist()):
            texts[item] = write_item(item_text, {n: c[row] for n, c in columns.items()}, str(tokens[item]))
        return texts

    def _words(self, frame: pd.DataFrame, name: str) -> list[Any]:
        """One column as texts: RecBole keeps tokens as numbers, and texts as lists of them."""
        kind = self.field2type[name]
        if kind == FeatureType.TOKEN_SEQ:
            words = self.field2id_token[name]
            return [" ".join(words[int(i)] for i in row if i) for row in frame[name]]
        if kind == FeatureType.TOKEN:
            words = self.field2id_token[name]
            return [words[int(i)] if i else "" for i in frame[name]]
        return frame[name].tolist()

    def _declare_fields(self, settings: SampleSettings) -> None:
        length = settings.history_length
        declare = self.set_field_property
        declare(self.iid_field + self.config["LIST_SUFFIX"], FeatureType.TOKEN_SEQ, FeatureSource.INTERACTION, length)
        declare(self.label_field + LABEL_LIST_SUFFIX, FeatureType.TOKEN_SEQ, FeatureSource.INTERACTION, length)
        declare(self.config["ITEM_LIST_LENGTH_FIELD"], FeatureType.TOKEN, FeatureSource.INTERACTION, 1)
        declare(SAMPLE_INDEX, FeatureType.TOKEN, FeatureSource.INTERACTION, 1)

    def _part(
        self, name: str, targets: np.ndarray, rows: Interactions, windows: Windows, settings: SampleSettings
    ) -> "APADataset":
        length = settings.history_length
        item_list = torch.zeros(len(targets), length, dtype=torch.int64)
        label_list = torch.zeros(len(targets), length, dtype=torch.int64)
        n_history = torch.zeros(len(targets), dtype=torch.int64)
        for i, row in enumerate(targets):
            history = windows.history(row, length)
            n_history[i] = len(history)
            item_list[i, : len(history)] = self._items[history]
            label_list[i, : len(history)] = torch.from_numpy(rows.labels[history])
        table = Interaction(
            {
                self.uid_field: self._users[targets],
                self.iid_field: self._items[targets],
                self.label_field: torch.from_numpy(rows.labels[targets]).float(),
                self.iid_field + self.config["LIST_SUFFIX"]: item_list,
                self.label_field + LABEL_LIST_SUFFIX: label_list,
                self.config["ITEM_LIST_LENGTH_FIELD"]: n_history,
                SAMPLE_INDEX: torch.arange(len(targets)),
            }
        )
        ranking = name != "train" and self.config["eval_type"] == EvaluatorType.RANKING
        part: APADataset = self.copy(table[table[self.label_field] == 1] if ranking else table)
        part.labelled = table
        part.samples = [make_sample(rows, windows, int(row), length) for row in targets]
        self.splits[name] = part.samples
        return part
