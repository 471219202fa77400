"""A worker's data: the samples that it was sent, in RecBole's form."""

from collections.abc import Sequence

import torch
from recbole.data.interaction import Interaction

from recbole_apa.data.dataloader import Batches
from recbole_apa.data.dataset import LABEL_LIST_SUFFIX
from recbole_apa.data.sent_samples import SentSamples
from recbole_apa.data.splits import SPLITS
from recbole_apa.pipeline.config import APAConfig


class ReceivedData:
    """Samples, with item numbers of their own: prompts contain texts, so that the numbers change no result.

    Attributes:
        item_texts: item texts by number; number 0 is padding.
    """

    def __init__(self, sent: SentSamples, config: APAConfig) -> None:
        self.item_texts = sent.texts
        self._sent, self._config = sent, config
        self._tables: dict[str, Interaction] = {}
        self._place = {name: row for row, name in enumerate(sent.splits[SPLITS[0]].ids)}

    @property
    def item_num(self) -> int:
        """How many numbers there are, the padding's included."""
        return len(self.item_texts)

    def batches(self, members: Sequence[str], batch_size: int, seed: int) -> Batches:
        """The batches of the training samples with these ids."""
        rows = [self._place[name] for name in members]
        return Batches(self.table(SPLITS[0]), rows, members, batch_size, seed)

    def table(self, split: str) -> Interaction:
        """The samples of a split, in the order in which they were sent."""
        if split not in self._tables:
            told, config = self._sent.splits[split], self._config
            item, label = config["ITEM_ID_FIELD"], config["LABEL_FIELD"]
            columns = {
                item: told.items,
                item + config["LIST_SUFFIX"]: told.history,
                label + LABEL_LIST_SUFFIX: told.history_labels,
                config["ITEM_LIST_LENGTH_FIELD"]: told.n_history,
            }
            found = {name: torch.from_numpy(column).long() for name, column in columns.items()}
            self._tables[split] = Interaction({**found, label: torch.from_numpy(told.labels).float()})
        return self._tables[split]
