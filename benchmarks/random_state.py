"""Adapters and a memory with random numbers, as the cost of a prediction does not depend on their values."""

import torch

from recbole_apa.adapters.aggregation import Memory
from recbole_apa.adapters.bank import AdapterBank
from recbole_apa.adapters.weight_rules import WeightRule

N_MEMORY = 500


def fill_adapters(bank: AdapterBank, k: int, size: float = 0.01) -> None:
    """K adapters from the common start, with random B with this standard deviation."""
    bank.resize(k)
    for i in range(k):
        g = torch.Generator().manual_seed(i)
        start = bank.start(0)
        bank.load(i, {name: (a, torch.randn(b.shape, generator=g) * size) for name, (a, b) in start.items()})


def random_rule(k: int, size: int) -> WeightRule:
    """Attention over a memory of ``N_MEMORY`` rows of embeddings of this size."""
    g = torch.Generator().manual_seed(0)
    memory = Memory(
        torch.randn(N_MEMORY, size, generator=g),
        torch.rand(N_MEMORY, k, generator=g),
        torch.randint(0, 2, (N_MEMORY,), generator=g).float(),
        torch.arange(N_MEMORY),
    )
    return WeightRule("sample_adaptive", memory, torch.zeros(k, size), torch.ones(k, dtype=torch.bool), 10.0, 20)
