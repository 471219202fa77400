"""A training as its definition says, step by step, beside which that of the program is held."""

import torch

from recbole_apa.adapters.training import rate_factor
from recbole_apa.core.seeding import digest_of, drawn_for
from tests.helpers.pieces import DECAY, EPOCHS, WARMUP

RATE, BATCH = 0.01, 4


def same(one, other):
    """Whether two adapters have the same numbers."""
    return one.keys() == other.keys() and all(
        torch.equal(x, y) for n in one for x, y in zip(one[n], other[n], strict=True)
    )


def trained_by_hand(ready, members, start, shard, place, state=None):
    """A piece or a slice: its own schedule and warm-up, seeds with its names, and the moments that it is given.

    Args:
        ready: model and training loader.
        members: ids of its samples.
        start: the adapter before.
        state: AdamW's moments; None starts with new ones.

    Returns:
        the adapter, and the moments after it.
    """
    model, loader = ready
    bank, samples, table = model.engine.bank, loader._dataset.samples, loader._dataset.labelled
    bank.resize(1)
    bank.load(0, start)
    bank.train(True)
    optimiser, step = torch.optim.AdamW(bank.parameters(), lr=RATE, weight_decay=DECAY), 0
    if state:
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    rows = [i for i, s in enumerate(samples) if s.sample_id in members]
    n_steps, settings = EPOCHS * -(-len(rows) // BATCH), model.settings.training
    for epoch in range(EPOCHS):
        order = sorted(rows, key=lambda i: digest_of(1, *place.names, "epoch", epoch, samples[i].sample_id))
        for begin in range(0, len(order), BATCH):
            for group in optimiser.param_groups:
                group["lr"] = RATE * rate_factor(step, n_steps, round(WARMUP * n_steps), settings.lr_schedule)
            optimiser.zero_grad()
            with drawn_for(1, "dropout", shard, *place.names, step):
                loss = model.calculate_loss(table[order[begin : begin + BATCH]])
            loss.backward()
            if settings.max_grad_norm is not None:
                torch.nn.utils.clip_grad_norm_(bank.parameters(), settings.max_grad_norm)
            optimiser.step()
            step += 1
    bank.train(False)
    return bank.extract(0), optimiser.state_dict()["state"]
