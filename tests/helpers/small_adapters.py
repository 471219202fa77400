"""Adapters and drafts for the small dataset of ``tests/next_item``: enough rank and steps to learn something."""

from dataclasses import replace
from typing import Any

import torch

from recbole_apa.next_item.change import exchange_of, exchanged_state, retrained_state
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.fit import fit
from recbole_apa.next_item.sequences import UserSequence
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import NextItemState
from recbole_apa.next_item.title_training import TitleTrainer
from recbole_apa.next_item.user_rows import RowReader

Adapted = tuple[NextItemSettings, NextItemData, RowReader]


def adapted_by(read: tuple[Any, NextItemData, RowReader], **more: Any) -> Adapted:
    """Settings, data and reader of the small dataset, with adapters on the upper layer.

    Args:
        read: the fixture of this name: options, data and reader.
        more: other settings.
    """
    options, data, reader = read
    settings = replace(
        options.settings,
        adapters="titles",
        adapter_layers=1,
        adapter_rank=2,
        adapter_batch=3,
        adapter_epochs=1,
        adapter_learning_rate=0.01,
    )
    return replace(settings, **more), data, reader


def fitted(adapted: Adapted) -> NextItemState:
    """A training on all of it."""
    settings, data, reader = adapted
    return fit(data, reader, settings)


def changed_state(
    before: NextItemState, old: NextItemData, new: NextItemData, reader: RowReader, settings: NextItemSettings
) -> NextItemState:
    """The state that a request, or an addition, leaves, from one that was made from ``old``."""
    made = exchange_of(before, old, new, settings)
    return retrained_state(exchanged_state(before, made, reader, settings), made, reader, settings)


def without_user(data: NextItemData, user: str) -> NextItemData:
    """The data that a request of this user leaves."""
    return NextItemData(data.raw, data.catalogue, tuple(s for s in data.sequences if s.user != user))


def loss_of(trainer: TitleTrainer, sequence: UserSequence) -> float:
    """What training sees of one user before the first step, in nats, for all titles or codes together."""
    found = []
    sample = trainer._learner(sequence).sample
    hidden = trainer._decoder.upper(trainer._decoder.trunk([sample.ids]))[0]
    for decision in sample.decisions:
        logits = trainer.logits(hidden[decision.place][None], decision.node)
        found.append(-float(torch.log_softmax(logits[0].double(), 0)[decision.child]))
    return sum(found)


def users_of_shard(data: NextItemData, state: NextItemState, shard: int) -> list[UserSequence]:
    """The sequences that a shard has learnt from, in order of the users' names."""
    return [s for s in data.sequences if state.learnt.shard_of.get(s.user) == shard]
