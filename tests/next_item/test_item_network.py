"""The draft model's network over items, and the sums that make chances of nodes of its chances of items."""

import pytest
import torch

from recbole_apa.core.errors import TrainingError
from recbole_apa.next_item.draft_model import train_network
from recbole_apa.next_item.generation import HeadGuess, Trie
from recbole_apa.next_item.generation.item_network import ItemNetwork, SumsBelow
from recbole_apa.next_item.settings import NextItemSettings
from tests.helpers.places import ROOT

TRIE = Trie.of([(1, 2), (3,), (1, 4, 5), (1, 4, 6), (7, 8)])


@pytest.fixture
def network() -> ItemNetwork:
    return ItemNetwork(5, 4, 6, seed=3)


def small_settings(**more) -> NextItemSettings:
    made = {"history_length": 4, "n_shards": 1, "partition": "hashed_user", "head_ridge": 0.3, "tau": 0.0}
    made |= {"n_neighbors": 20, "evidence": "none", "seed": 1, "adapters": "titles", "draft_kind": "model"}
    return NextItemSettings(**{**made, **more})


def test_what_it_says_after_an_item_depends_on_nothing_later_and_on_no_neighbour(network):
    together = network.after_each([[0, 1, 2, 3], [4, 1]])
    alone = network.after_each([[0, 1]])[0]
    assert torch.allclose(together[0, :2], alone, atol=1e-6)
    assert torch.allclose(together[1, :2], network.after_each([[4, 1]])[0], atol=1e-6)
    assert not torch.allclose(network.after_each([[2, 1]])[0, 1], alone[1], atol=1e-4)


def test_chances_of_items_sum_to_one_and_give_those_of_nodes(network):
    chances = network.chances([2, 0])
    assert chances.shape == (5,) and float(chances.sum()) == pytest.approx(1)
    scores = network.scores(network.after_each([[2, 0]])[0, -1:])
    guess, below = HeadGuess(TRIE, TRIE.sums_below(chances.tolist())), SumsBelow(TRIE)
    assert len(TRIE.branching) == 3
    for node in TRIE.branching:
        told = torch.log_softmax(below(scores, node), 1)[0]
        assert told.tolist() == pytest.approx([chance for chance, _ in guess.steps(node)], abs=1e-5)


def test_sums_below_are_logarithms_of_sums_with_their_slopes():
    scores = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    below = SumsBelow(TRIE)
    found = below(scores, 0)
    by_hand = torch.stack([scores[:, [0, 2, 3]].logsumexp(1), scores[:, 1], scores[:, 4]], 1)
    assert torch.allclose(found, by_hand)
    assert torch.autograd.gradcheck(lambda x: below(x, 0), scores)
    far = below(torch.tensor([[-2000.0, 0.0, -2001.0, -2002.0, 3.0]]), 0)  # the chances are 0 in any type
    assert float(far[0, 0]) == pytest.approx(-2000 + 0.4076, abs=1e-3)


def test_all_shards_start_alike_by_the_seed_alone(network):
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    again, other = ItemNetwork(5, 4, 6, seed=3).tensors(), ItemNetwork(5, 4, 6, seed=4).tensors()
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(part, again[name]) for name, part in network.tensors().items())
    assert not torch.equal(again["items"], other["items"])


def test_a_model_of_the_default_size_is_as_large_as_the_documents_say():
    tensors = ItemNetwork(1682, 50, small_settings().draft_model_size).tensors()
    n_parameters = sum(part.numel() for part in tensors.values())
    assert f"{n_parameters:,} parameters for 1,682 items" in " ".join((ROOT / "docs/next-items.md").read_text().split())


def test_a_network_is_read_back_from_its_tensors(network):
    back = ItemNetwork.of(network.tensors())
    assert torch.equal(back.chances([1, 3]), network.chances([1, 3]))
    with pytest.raises(RuntimeError, match="size mismatch"):
        ItemNetwork.of({**network.tensors(), "bias": torch.zeros(7)})


@pytest.mark.slow
def test_training_learns_what_follows_what():
    chosen = {f"u{i:02d}": tuple((i + step) % 5 for step in range(4)) for i in range(20)}
    network = ItemNetwork(5, 4, 6)
    train_network(network, chosen, 0, small_settings(draft_epochs=60, draft_model_learning_rate=0.03))
    for first in range(5):
        assert int(network.chances([first, (first + 1) % 5]).argmax()) == (first + 2) % 5


def test_without_users_it_stays_as_it_is_and_a_loss_that_is_not_finite_is_refused(network):
    before = network.tensors()
    train_network(network, {}, 0, small_settings())
    assert all(torch.equal(part, before[name]) for name, part in network.tensors().items())
    with torch.no_grad():
        network.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="shard 2"):
        train_network(network, {"u": (1, 2)}, 2, small_settings())
