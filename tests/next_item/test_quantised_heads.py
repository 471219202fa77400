"""The benchmark's product-quantised head: what it keeps of a head, and in which bits."""

import torch

from benchmarks.next_item_quantised import QuantisedHead
from recbole_apa.next_item.differences import differences
from tests.helpers.threads import on_one_and_three_threads


def test_a_head_of_few_different_parts_is_kept_but_for_rounding():
    make = torch.Generator().manual_seed(2)
    parts = torch.randint(-50, 51, (30, 4), generator=make).double()
    head = torch.cat([parts[torch.randint(30, (400, 6), generator=make)].flatten(1), torch.ones(400, 1).double()], 1)
    head[7] = 0
    made = QuantisedHead.of(head, 6, seed=0)
    x = torch.randn(25, generator=make).double()
    assert torch.allclose(made.scores(x), head @ x, atol=0.5) and float(made.scores(x)[7]) == 0
    assert made.codes.shape == (6, 400) and made.n_bytes < head.nbytes


def test_a_quantised_head_has_the_same_bits_on_any_number_of_threads():
    head = torch.randn(700, 25, generator=torch.Generator().manual_seed(1)).double()
    found = on_one_and_three_threads(lambda: QuantisedHead.of(head, 3, seed=0))
    assert differences(found[0], found[1]) == []
    assert differences(found[0], QuantisedHead.of(head, 3, seed=1))
    x = torch.randn(25, generator=torch.Generator().manual_seed(5)).double()
    apart = float((found[0].scores(x) - head @ x).norm() / (head @ x).norm())
    assert 0.01 < apart < 0.8  # 256 centres for 700 rows of noise lose something, and not everything
