"""A finished run of APANext as RecBole knows a sequential recommender.

RecBole asks it for scores of batches from its own loaders, in its own numbers; inside, items go by their tokens. Once
this module is imported, RecBole's lookup (``get_model``) finds the model.
"""

import importlib
import sys
from typing import TYPE_CHECKING

import torch
from recbole.data.interaction import Interaction
from recbole.model.abstract_recommender import SequentialRecommender
from torch import Tensor

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.run.opened import NextItemRun, open_state
from recbole_apa.next_item.run.pending import refuse_waiting
from recbole_apa.next_item.run.store import NextItemStore

if TYPE_CHECKING:
    from recbole.config import Config
    from recbole.data.dataset import Dataset

RUN = "next_item_run"
"""The option of RecBole's ``Config`` that names the run's folder."""


class APANext(SequentialRecommender):
    """Scores by a finished run; training is not RecBole's (:func:`recbole_apa.run_next_items`).

    Args:
        config: RecBole's, with ``next_item_run``.
        dataset: RecBole's; its item tokens have to be the catalogue's.

    Raises:
        RunError: a request waits to be carried out, or the run is damaged.
        SettingsError: no run is named, or an item of the dataset is not in the run's catalogue.
    """

    def __init__(self, config: "Config", dataset: "Dataset") -> None:
        super().__init__(config, dataset)
        folder = config[RUN]
        if not folder:
            raise SettingsError(f"{RUN}: found none, expected the folder of a finished run of APANext")
        store = NextItemStore(folder)
        refuse_waiting(store, store.manifest())
        self.run: NextItemRun = open_state(store)
        self.empty = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
        tokens = [str(token) for token in dataset.field2id_token[self.ITEM_ID][1:]]
        unknown = [token for token in tokens if token not in self.run.data.catalogue]
        if unknown:
            raise SettingsError(f"{len(unknown)} items are not in the run's catalogue, e.g. {unknown[0]!r}")
        self.items = tokens
        self.columns = torch.tensor(self.run.data.catalogue.columns(tokens), dtype=torch.int64)
        self.users = [str(token) for token in dataset.field2id_token[self.USER_ID]]

    def full_sort_predict(self, interaction: Interaction) -> Tensor:
        """Scores of all items by RecBole's number, (b, n_items), float32; the padding item has the least."""
        scores = self._scores(interaction).float()
        least = scores.min(1, keepdim=True).values - 1
        return torch.cat([least, scores], 1)

    def predict(self, interaction: Interaction) -> Tensor:
        """Scores of one item for each history, (b,), float32."""
        items = interaction[self.ITEM_ID].to("cpu")
        return self.full_sort_predict(interaction).gather(1, items[:, None])[:, 0]

    def calculate_loss(self, interaction: Interaction) -> Tensor:
        """The mean -log chance of the batch's targets by the scores that are served, among all items, those of the
        history included; it has no gradient, as heads are solved and counts counted."""
        log_chances = torch.log_softmax(self._scores(interaction), 1)
        targets = interaction[self.POS_ITEM_ID].to("cpu") - 1
        return -log_chances.gather(1, targets[:, None]).mean()

    def _scores(self, interaction: Interaction) -> Tensor:
        """(b, n_items - 1), float64, in RecBole's order without the padding item."""
        sequences = interaction[self.ITEM_SEQ].tolist()
        lengths = interaction[self.ITEM_SEQ_LEN].tolist()
        histories = [[self.items[number - 1] for number in row[:n]] for row, n in zip(sequences, lengths, strict=True)]
        users = [self.users[number] for number in interaction[self.USER_ID].tolist()]
        catalogue = self.run.data.catalogue
        with one_thread():
            states = torch.stack([self.run.reader.after(history) for history in histories])
            columns = [catalogue.columns(history) for history in histories]
            return self.run.state.scores(users, states, columns, self.run.counts)[:, self.columns]


def _make_known() -> None:
    """``get_model`` imports ``recbole.model.<kind>.<lower-case name>``."""
    kind = "recbole.model.sequential_recommender"
    sys.modules[f"{kind}.apanext"] = sys.modules[__name__]
    setattr(importlib.import_module(kind), "apanext", sys.modules[__name__])  # noqa: B010


_make_known()
