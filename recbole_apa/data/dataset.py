"""A RecBole dataset whose rows are samples; the boundary between RecBole's tables and ours."""

from collections.abc import Mapping, Sequence
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.utils import EvaluatorType, FeatureSource, FeatureType

from recbole_apa.core.errors import SettingsError
from recbole_apa.data.data_options import DataOptions
from recbole_apa.data.dataset_digest import DatasetDigest
from recbole_apa.data.index.additions import in_one_piece
from recbole_apa.data.index.order import by_place
from recbole_apa.data.index.rows import IndexedRows
from recbole_apa.data.index.source import DataFile, files_as_they_are
from recbole_apa.data.item_text import NumberedTexts
from recbole_apa.data.load import load_dataset, load_indexed
from recbole_apa.data.prompts import PromptInput
from recbole_apa.data.read_data import Loaded, data_files
from recbole_apa.data.recbole_data_options import data_options, file_options
from recbole_apa.data.recbole_settings import read_settings
from recbole_apa.data.recbole_tables import first_rows_of_ids, frame_of
from recbole_apa.data.run_data import RunData
from recbole_apa.data.samples import Interactions, LabelledItems, Sample, Windows
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.tokens import Tokens
from recbole_apa.data.visible_data import VisibleData, content_digest

if TYPE_CHECKING:
    from recbole.config import Config

LABEL_LIST_SUFFIX = "_list"


class APADataset(Dataset):
    """Shows a :class:`RunData` to RecBole.

    RecBole's own table of interactions never holds all rows: at first it has those where a user or an item appears
    first, from which RecBole numbers users and items as it would from all rows. ``build`` returns three datasets
    (training, validation, test) whose rows hold user, target item, label and the history as ``item_id_list``,
    ``label_list`` (b, history_length; zeros on the right) and ``item_length``.
    Only samples that are drawn are built.

    Attributes:
        samples: the samples.
        labelled: all rows as an ``Interaction``, in the order of ``samples`` (ranking modes keep only liked rows
            in ``inter_feat``).
        item_texts: item texts by internal item id, each written when it is asked for.
        cutoffs: hash cutoffs of the draw, by split.
        train_rows: item token and label of every training target, drawn or not (for the trivial rules).
        raw_interactions: all visible rows, before any filter: requests are looked up here.
        interactions, windows: the rows the samples were made from.
        splits: the samples of all three parts, by split.
        settings: which samples to build.
        visible_data: what may be seen: all rows but those that the run has forgotten.
        run_data: where all of these come from.
        files: the data files, as they were before they were read.
    """

    samples: list[Sample]
    labelled: Interaction
    item_texts: NumberedTexts
    cutoffs: dict[str, str | None]
    train_rows: LabelledItems
    uid_field: str
    iid_field: str
    time_field: str
    raw_interactions: Interactions
    interactions: Interactions
    windows: Windows
    splits: dict[str, list[Sample]]
    run_data: RunData
    files: tuple[DataFile, ...]
    inter_feat: Any
    _loaded: Loaded | None

    def __init__(
        self, config: "Config", visible_data: VisibleData | None = None, indexed: IndexedRows | None = None
    ) -> None:
        self.visible_data = visible_data or VisibleData()
        self._indexed = indexed
        self.settings = read_settings(config).samples  # before any file is read
        super().__init__(config)

    def build(self) -> list["APADataset"]:
        """
        Raises:
            DataError: columns are missing, or a split has no samples.
        """
        self._check()
        made = self._made(data_options(self.config, self.settings))
        self._loaded = self._indexed = None  # they have all columns
        self.run_data, self.windows, self.train_rows = made, made.windows, made.train_rows
        self.cutoffs, self.splits = dict(made.cutoffs), made.samples
        self.item_texts = self._numbered_texts()
        self._change_feat_format()
        self._drop_unused_col()
        self._declare_fields()
        numbers = [self._numbers(self.uid_field, made.rows.users), self._numbers(self.iid_field, made.rows.items)]
        return [self._part(name, *numbers) for name in SPLITS]

    def _made(self, options: DataOptions) -> RunData:
        """What the rows give. Those of an index have their splits and samples noted, unless these are made anew."""
        loaded, indexed, seen = self._loaded, self._indexed, self.visible_data
        assert loaded is not None
        if indexed is None:
            return RunData.of_files(loaded, options, seen)
        rows = by_place(indexed.rows)
        if seen.roles is None:
            return RunData.of_files(loaded, options, seen).with_additions(rows.since, in_one_piece(indexed.additions))
        return RunData.of_noted(loaded, rows, options, seen.cutoffs, indexed.additions)

    def __str__(self) -> str:
        """Override: RecBole counts the rows of its own table."""
        rows, n_samples = self.interactions, getattr(self, "samples", None)
        counts = [f"{len(rows)} interactions"] if n_samples is None else [f"{len(n_samples)} samples"]
        counts += [f"{len(rows.users.firsts())} users", f"{len(rows.items.firsts())} items"]
        return f"{self.dataset_name}: {', '.join(counts)}"

    def item_tokens(self) -> list[str]:
        """Every item that has interactions or a line in the ``.item`` file."""
        return [str(token) for token in self.field2id_token[self.iid_field][1:]]

    @property
    def pieces(self) -> Mapping[str, int]:
        """Training sample -> number of the piece that it is trained in, for those above 0."""
        return self.run_data.pieces

    @property
    def stem(self) -> Path:
        """The path of the data files without their endings."""
        return Path(self.dataset_path) / str(self.dataset_name)

    def digest(self, secret: bytes) -> DatasetDigest:
        """The digest of everything visible in the dataset.

        Args:
            secret: the key of the run's digests.
        """
        return self.run_data.digest(secret)

    @property
    def old_digest(self) -> str:
        """The same, as runs before format 4 store it."""
        return content_digest(self.interactions, self.windows, self.item_texts)

    def items_with(self, column: str, word: str) -> list[str]:
        """Items whose text in a column of the ``.item`` file contains a word, e.g. a genre.

        Raises:
            SettingsError: there is no such column, or no such item.
        """
        texts = self.run_data.texts
        if column not in texts.available:
            shown = ", ".join(texts.available) or "none"
            raise SettingsError(f"found no column {column!r} of items, expected one of {shown}")
        found = [item for row, item in enumerate(texts.items) if word in str(texts.cell(column, row)).split()]
        if not found:
            raise SettingsError(f"found no item with {word!r} in its {column}; expected a word as in the file")
        return found

    def prompt_inputs(self, samples: Sequence[Sample]) -> list[PromptInput]:
        """What to fill the prompts of samples with, from whatever split."""
        text_of = self.run_data.texts.text_of
        return [
            PromptInput(tuple((text_of(e.item_id), e.label) for e in s.history), text_of(s.item_id)) for s in samples
        ]

    def _load_data(self, token: str, dataset_path: str) -> None:
        """Override: load through our reader and filters, without what the run has forgotten."""
        if not Path(dataset_path).exists():
            self._download()
        folder, indexed = Path(dataset_path), self._indexed
        if indexed is None:
            self.files = files_as_they_are(data_files(file_options(self.config), self.stem))
            loaded = load_dataset(self, token, folder, self.visible_data)
        else:
            self.files = indexed.files
            loaded = load_indexed(self, token, folder, indexed, self.visible_data)
        self._loaded = loaded
        self.raw_interactions, self.interactions = loaded.raw, loaded.rows
        self._take_tables(loaded)
        self._load_additional_feat(token, dataset_path)

    def _take_tables(self, loaded: Loaded) -> None:
        """Hand the tables to RecBole."""
        inter = loaded.inter.take(loaded.left.rows[self._rows_to_number(loaded)])
        self.inter_feat = frame_of(self, inter)
        for name, table in (("user_feat", loaded.left.users), ("item_feat", loaded.left.items)):
            setattr(self, name, None if table is None else frame_of(self, table))
        for field, source in ((self.uid_field, FeatureSource.USER), (self.iid_field, FeatureSource.ITEM)):
            self.field2source[field] = FeatureSource(source.value + "_id")

    def _rows_to_number(self, loaded: Loaded) -> np.ndarray:
        """Which of the interactions left by the filters RecBole sees when it numbers users and items."""
        return first_rows_of_ids(loaded, file_options(self.config))

    def _data_filtering(self) -> None:
        """Override: nothing to do; the columns were filtered before RecBole's tables were built."""

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

    def _numbered_texts(self) -> NumberedTexts:
        """Item texts by RecBole's internal item id."""
        # id 0 is padding: keeping RecBole's fill values in its text keeps digests unchanged
        texts, tokens = self.run_data.texts, self.field2id_token[self.iid_field]
        filled = {name: self._padding(name) for name in texts.columns}
        return NumberedTexts(texts, [str(token) for token in tokens], texts.write(filled, str(tokens[0])))

    def _padding(self, name: str) -> object:
        """RecBole's fill value for the padding item."""
        frame: Any = self.item_feat
        return frame[name].tolist()[0] if self.field2type[name] == FeatureType.FLOAT else ""

    def _numbers(self, field: str, column: Tokens) -> np.ndarray:
        """RecBole's number of each name of a column of users or items, int64."""
        number = self.field2token_id[field]
        return np.array([number.get(name, 0) for name in column.names], dtype=np.int64)

    def _declare_fields(self) -> None:
        length = self.settings.history_length
        declare = self.set_field_property
        declare(self.iid_field + self.config["LIST_SUFFIX"], FeatureType.TOKEN_SEQ, FeatureSource.INTERACTION, length)
        declare(self.label_field + LABEL_LIST_SUFFIX, FeatureType.TOKEN_SEQ, FeatureSource.INTERACTION, length)
        declare(self.config["ITEM_LIST_LENGTH_FIELD"], FeatureType.TOKEN, FeatureSource.INTERACTION, 1)

    def _part(self, name: str, users: np.ndarray, items: np.ndarray) -> "APADataset":
        """One split's samples.

        Args:
            users, items: RecBole's number of each user and item, by code.
        """
        rows, windows, targets = self.interactions, self.windows, self.run_data.targets[name]
        length = self.settings.history_length
        item_list = torch.zeros(len(targets), length, dtype=torch.int64)
        label_list = torch.zeros(len(targets), length, dtype=torch.int64)
        n_history = torch.zeros(len(targets), dtype=torch.int64)
        for i, row in enumerate(targets):
            history = windows.history(row, length)
            n_history[i] = len(history)
            item_list[i, : len(history)] = torch.from_numpy(items[rows.items.codes[history]])
            label_list[i, : len(history)] = torch.from_numpy(rows.labels[history])
        table = Interaction(
            {
                self.uid_field: torch.from_numpy(users[rows.users.codes[targets]]),
                self.iid_field: torch.from_numpy(items[rows.items.codes[targets]]),
                self.label_field: torch.from_numpy(rows.labels[targets]).float(),
                self.iid_field + self.config["LIST_SUFFIX"]: item_list,
                self.label_field + LABEL_LIST_SUFFIX: label_list,
                self.config["ITEM_LIST_LENGTH_FIELD"]: n_history,
            }
        )
        ranking = name != "train" and self.config["eval_type"] == EvaluatorType.RANKING
        part: APADataset = self.copy(table[table[self.label_field] == 1] if ranking else table)
        part.labelled, part.samples = table, self.splits[name]
        return part
