"""A RecBole dataset whose rows are samples; the boundary between RecBole's tables and ours."""

from collections.abc import Sequence
from dataclasses import replace
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.utils import EvaluatorType, FeatureSource, FeatureType

from recbole_apa.core.errors import DataError, SettingsError
from recbole_apa.core.settings import SampleSettings
from recbole_apa.data.dataset_digest import DatasetDigest, dataset_digest
from recbole_apa.data.item_text import item_columns, write_item
from recbole_apa.data.load import Loaded, load_dataset
from recbole_apa.data.prompts import PromptInput
from recbole_apa.data.reader import Table
from recbole_apa.data.recbole_settings import read_settings
from recbole_apa.data.recbole_split import read_split, split_rows, warn_of_order
from recbole_apa.data.recbole_tables import frame_of
from recbole_apa.data.samples import Interactions, LabelledItems, Sample, Windows, make_sample, order_windows
from recbole_apa.data.splits import SPLITS, draw_split, tallrec_split
from recbole_apa.data.tokens import Tokens
from recbole_apa.data.visible_data import VisibleData, content_digest

if TYPE_CHECKING:
    from recbole.config import Config

LABEL_LIST_SUFFIX = "_list"


class APADataset(Dataset):
    """Turns RecBole's interactions into samples.

    ``build`` returns three datasets (training, validation, test) whose rows hold user, target item, label and the
    history as ``item_id_list``, ``label_list`` (b, history_length; zeros on the right) and ``item_length``.
    Only samples that are drawn are built.

    Attributes:
        samples: the samples.
        labelled: all rows as an ``Interaction``, in the order of ``samples`` (ranking modes keep only liked rows
            in ``inter_feat``).
        item_texts: item texts by internal item id.
        cutoffs: hash cutoffs of the draw, by split.
        train_rows: item token and label of every training target, drawn or not (for the trivial rules).
        raw_interactions: all visible rows, before any filter: requests are looked up here.
        interactions, windows: the rows the samples were made from.
        splits: the samples of all three parts, by split.
        settings: which samples to build.
        visible_data: what may be seen: all rows but those that the run has forgotten.
    """

    samples: list[Sample]
    labelled: Interaction
    item_texts: list[str]
    cutoffs: dict[str, str | None]
    train_rows: LabelledItems
    uid_field: str
    iid_field: str
    time_field: str
    raw_interactions: Interactions
    interactions: Interactions
    windows: Windows
    splits: dict[str, list[Sample]]
    inter_feat: Any

    def __init__(self, config: "Config", visible_data: VisibleData | None = None) -> None:
        self.visible_data = visible_data or VisibleData()
        self.settings = read_settings(config).samples  # before any file is read
        super().__init__(config)

    def build(self) -> list["APADataset"]:
        """
        Raises:
            DataError: columns are missing, or a split has no samples.
        """
        settings = self.settings
        self._check()
        # RecBole's tables hold internal ids of users and items, which are only row numbers here
        self._users, self._items = (
            torch.tensor(self.inter_feat[field].to_numpy()) for field in (self.uid_field, self.iid_field)
        )
        self.item_texts = self._item_texts(settings.item_text)
        self._change_feat_format()
        self._drop_unused_col()
        rows = self.interactions
        windows = order_windows(rows.users, rows.times)
        candidates = self._candidates(settings, windows)
        targets = self._targets(candidates, rows, windows, settings)
        known = candidates["train"][windows.n_before[candidates["train"]] >= settings.min_history]
        judged = np.concatenate([targets["valid"], targets["test"]])
        known = known[~np.isin(known, judged)]
        self.train_rows = LabelledItems(rows.items.take(known), rows.labels[known])
        self._declare_fields(settings)
        self.windows = windows
        self.splits = {}  # shared, and filled, by the three parts
        return [self._part(name, targets[name], rows, windows, settings) for name in SPLITS]

    def item_tokens(self) -> list[str]:
        """Every item that has interactions or a line in the ``.item`` file."""
        return [str(token) for token in self.field2id_token[self.iid_field][1:]]

    @property
    def visible_to_workers(self) -> VisibleData:
        """What workers may see: a mask of rows, and no keys."""
        told = self.visible_data
        return replace(told, forgotten=(), shown=self._shown) if told.forgotten else told

    def digest(self, secret: bytes) -> DatasetDigest:
        """The digest of everything visible in the dataset.

        Args:
            secret: the key of the run's digests.
        """
        return dataset_digest(self.interactions, self.windows, self._text_of, secret)

    @property
    def old_digest(self) -> str:
        """The same, as runs before format 4 store it."""
        return content_digest(self.interactions, self.windows, self.item_texts)

    def _text_of(self, item: str) -> str:
        return self.item_texts[self.field2token_id[self.iid_field][item]]

    def items_with(self, column: str, word: str) -> list[str]:
        """Items whose text in a column of the ``.item`` file contains a word, e.g. a genre.

        Raises:
            SettingsError: there is no such column, or no such item.
        """
        columns = self._item_columns()
        if column not in columns:
            raise SettingsError(f"found no column {column!r} of items, expected one of {', '.join(columns) or 'none'}")
        assert self._item_table is not None
        tokens = self._item_table.texts(self.iid_field)
        texts = self._cells(self._item_table, column)
        found = [token for token, text in zip(tokens, texts, strict=True) if word in str(text).split()]
        if not found:
            raise SettingsError(f"found no item with {word!r} in its {column}; expected a word as in the file")
        return found

    def prompt_inputs(self, samples: Sequence[Sample]) -> list[PromptInput]:
        """What to fill the prompts of samples with, from whatever split."""
        number, texts = self.field2token_id[self.iid_field], self.item_texts
        return [
            PromptInput(tuple((texts[number[e.item_id]], e.label) for e in s.history), texts[number[s.item_id]])
            for s in samples
        ]

    def _load_data(self, token: str, dataset_path: str) -> None:
        """Override: load through our reader and filters, without what the run has forgotten."""
        if not Path(dataset_path).exists():
            self._download()
        loaded = load_dataset(self, token, Path(dataset_path), self.visible_data)
        self.raw_interactions, self.interactions = loaded.raw, loaded.rows
        self._shown = loaded.shown
        self._part_of, self._item_table = loaded.part_of, loaded.tables.items
        self._take_tables(loaded)
        self._load_additional_feat(token, dataset_path)

    def _take_tables(self, loaded: Loaded) -> None:
        """Hand the tables to RecBole."""
        tables = loaded.tables
        self.inter_feat = frame_of(self, tables.inter)
        self.user_feat = None if tables.users is None else frame_of(self, tables.users)
        self.item_feat = None if tables.items is None else frame_of(self, tables.items)
        for field, source in ((self.uid_field, FeatureSource.USER), (self.iid_field, FeatureSource.ITEM)):
            self.field2source[field] = FeatureSource(source.value + "_id")

    def _data_filtering(self) -> None:
        """Override: nothing to do; the columns were filtered before RecBole's tables were built."""

    def _candidates(self, settings: SampleSettings, windows: Windows) -> dict[str, np.ndarray]:
        """Row numbers of each split, drawn or not."""
        if self._part_of is not None:
            if settings.protocol == "tallrec":
                raise SettingsError("benchmark_filename: the files are already split; expected protocol: recbole")
            warn_of_order(self._part_of, self.interactions.users, windows)
            return {name: np.flatnonzero(self._part_of == place) for place, name in enumerate(SPLITS)}
        if settings.protocol == "tallrec":
            return tallrec_split(windows)
        split = read_split(self.config["eval_args"], self.config["seed"])
        if split.order != "TO":
            getLogger().warning("eval_args.order is not TO: histories of training samples may contain test targets")
        rows = self.interactions
        return dict(zip(SPLITS, split_rows(rows.users, rows.times, split), strict=True))

    def _targets(
        self, candidates: dict[str, np.ndarray], rows: Interactions, windows: Windows, settings: SampleSettings
    ) -> dict[str, np.ndarray]:
        if self.visible_data.roles is not None:
            self.cutoffs = dict(self.visible_data.cutoffs)
            found = self.visible_data.targets(rows, windows, settings.min_history)
            if not len(found["train"]):
                raise DataError(
                    f"{self.dataset_path} holds none of the run's {len(self.visible_data.roles['train'])} training "
                    "samples; set --data_path to the data that the run was trained on"
                )
            return found
        sizes = {name: getattr(settings, f"{name}_samples") for name in SPLITS}
        split = draw_split(candidates, rows, windows, settings.min_history, sizes)
        self.cutoffs = split.cutoffs
        return split.rows

    def _check(self) -> None:
        if self.config["normalize_all"] or self.config["normalize_field"]:
            raise SettingsError(
                "normalize_all / normalize_field: found set, expected false: sample ids contain real timestamps"
            )
        if self.config["save_dataset"] or self.config["save_dataloaders"]:
            raise SettingsError(
                "save_dataset / save_dataloaders: found set, expected false: RecBole's pickles would keep data that "
                "is forgotten later"
            )
        if self.interactions.times is None:
            getLogger().warning(
                f"the dataset has no column {self.config['TIME_FIELD']!r}: the order of rows is used instead"
            )

    def _item_columns(self) -> list[str]:
        """Columns of the ``.item`` file, with the id last."""
        columns = [] if self._item_table is None else list(self._item_table.columns)
        return sorted(columns, key=lambda name: name == self.iid_field)

    def _item_texts(self, item_text: str) -> list[str]:
        """Item texts by RecBole's internal item id."""
        names = item_columns(item_text, self._item_columns())
        table = self._item_table
        assert table is not None
        cells = {name: self._cells(table, name) for name in names}
        token_id = self.field2token_id[self.iid_field]
        texts = [""] * self.item_num
        for row, token in enumerate(table.texts(self.iid_field)):
            texts[token_id[token]] = write_item(item_text, {n: c[row] for n, c in cells.items()}, token)
        tokens = self.field2id_token[self.iid_field]
        # id 0 is padding: keeping RecBole's fill values in its text keeps digests unchanged
        filled = {name: self._padding(name) for name in names}
        texts[0] = write_item(item_text, filled, str(tokens[0]))
        # items without a line of their own are named by their id
        return [text or f"item {token}" for text, token in zip(texts, tokens, strict=True)]

    def _padding(self, name: str) -> object:
        """RecBole's fill value for the padding item."""
        frame: Any = self.item_feat
        return frame[name].tolist()[0] if self.field2type[name] == FeatureType.FLOAT else ""

    def _cells(self, table: Table, name: str) -> Sequence[object]:
        """One column as written into item texts; missing cells are empty texts."""
        column = table.columns[name]
        if isinstance(column, np.ndarray):
            return ["" if missing else value for value, missing in zip(column.tolist(), np.isnan(column), strict=True)]
        if not table.field(name).type.endswith("_seq"):
            return column
        most = (self.config["seq_len"] or {}).get(name)
        parts = [[word for word in text.split(self.config["seq_separator"]) if word][:most] for text in column.names]
        return Tokens(column.codes, [" ".join(words) for words in parts])

    def _declare_fields(self, settings: SampleSettings) -> None:
        length = settings.history_length
        declare = self.set_field_property
        declare(self.iid_field + self.config["LIST_SUFFIX"], FeatureType.TOKEN_SEQ, FeatureSource.INTERACTION, length)
        declare(self.label_field + LABEL_LIST_SUFFIX, FeatureType.TOKEN_SEQ, FeatureSource.INTERACTION, length)
        declare(self.config["ITEM_LIST_LENGTH_FIELD"], FeatureType.TOKEN, FeatureSource.INTERACTION, 1)

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
            }
        )
        ranking = name != "train" and self.config["eval_type"] == EvaluatorType.RANKING
        part: APADataset = self.copy(table[table[self.label_field] == 1] if ranking else table)
        part.labelled = table
        part.samples = [make_sample(rows, windows, int(row), length) for row in targets]
        self.splits[name] = part.samples
        return part
