"""RecBole's sequential networks on all positions: what a position may look at, and that training learns an order."""

import pytest
import torch
from recbole.data.interaction import Interaction

from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.ranking import split_of
from recbole_apa.next_item.sequential.network import MODELS, SequentialNetwork
from recbole_apa.next_item.sequential.training import ndcg, pieces_of, train_sequential


@pytest.mark.parametrize("name", MODELS)
def test_every_position_says_what_recbole_says_after_that_prefix(name):
    """RecBole's own class on each prefix, as its loader pads them."""
    network = SequentialNetwork(name, 9, 6, 3, "cpu")
    network.model.eval()
    history = [4, 0, 8, 2, 2]
    found = network.scores(network.after_each([history, [1]]))
    plain_kind = type(network.model).__mro__[2]
    plain = plain_kind(network.config, type("Items", (), {"num": lambda self, field: 10})())
    plain.load_state_dict(network.model.state_dict())
    plain.eval()
    for n in range(1, 6):
        row = torch.zeros(1, 6, dtype=torch.int64)
        row[0, :n] = torch.tensor(history[:n]) + 1
        asked = Interaction({plain.ITEM_SEQ: row, plain.ITEM_SEQ_LEN: torch.tensor([n])})
        expected = plain.full_sort_predict(asked)[0, 1:]
        assert torch.allclose(found[0, n - 1], expected, atol=1e-5) and float(expected.detach().std()) > 0
    assert torch.allclose(network.after([history * 3])[0].float(), network.after([(history * 3)[-6:]])[0].float())


@pytest.mark.parametrize("n", range(12))
def test_every_item_but_the_first_is_a_target_once(n):
    pieces = pieces_of(range(n), 4)
    assert [item for piece in pieces for item in piece[1:]] == list(range(1, n))
    assert all(2 <= len(piece) <= 5 and piece == list(range(piece[0], piece[-1] + 1)) for piece in pieces)


@pytest.mark.parametrize("name", MODELS)
def test_training_learns_the_chains_and_is_the_same_again(read, name):
    _, data, _ = read
    with one_thread():
        before = torch.random.get_rng_state()
        trained, again = (train_sequential(name, data, 6, 5, "cpu") for _ in range(2))
        assert torch.equal(before, torch.random.get_rng_state())
        split = split_of(data, "test")
        scores = trained.scores_of(split)
        assert torch.equal(scores, again.scores_of(split)) and trained.best_epoch == again.best_epoch
    assert trained.n_epochs <= trained.best_epoch + 11 and trained.best_epoch > 1
    untrained = SequentialNetwork(name, len(data.catalogue), 6, 5, "cpu").after(split.histories)
    assert ndcg(split, scores) > ndcg(split, untrained) + 0.1
