"""Train a shard's draft model on what the shard's users chose, by the cross-entropy of the next item.

The sum over the decisions of a title is the item's own logarithm, so that this is the loss over the trie's children,
too.
"""

from collections.abc import Mapping, Sequence
from logging import getLogger

import torch
from torch import Tensor
from torch.nn import functional as F

from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.generation.item_network import ItemNetwork
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.title_course import Schedule

BATCH = 8
"""Users of one step."""


def train_network(
    network: ItemNetwork, chosen: Mapping[str, tuple[int, ...]], shard: int, settings: NextItemSettings
) -> None:
    """On one thread, in an order that the users' names decide; without users the network stays as it is.

    Args:
        chosen: of each user, in order of their names, the columns that he chose, oldest first: all but the first are
            targets, of which there is at least one.

    Raises:
        TrainingError: the loss is not finite.
    """
    users = list(chosen)
    if not users:
        return
    schedule = Schedule(settings.draft_epochs, settings.draft_model_learning_rate, BATCH)
    with one_thread(), torch.enable_grad():
        course = schedule.course(list(network.parameters()), len(users), shard)
        for batch in course.batches(
            lambda epoch: schedule.batches(users, settings.seed, "draft model batches", shard, epoch)
        ):
            course.step_on(_loss(network, [chosen[users[i]] for i in batch]))
    getLogger().info(
        f"draft model of shard {shard}: {len(users)} users, {course.history.epoch_losses[-1]:.3f} nats a target in "
        "the last epoch"
    )


def _loss(network: ItemNetwork, chosen: Sequence[tuple[int, ...]]) -> Tensor:
    """The mean cross-entropy of all targets of some users."""
    vectors = network.after_each([columns[:-1] for columns in chosen])
    own = torch.cat([of_user[: len(columns) - 1] for of_user, columns in zip(vectors, chosen, strict=True)])
    targets = torch.tensor([column for columns in chosen for column in columns[1:]])
    return F.cross_entropy(network.scores(own), targets)
