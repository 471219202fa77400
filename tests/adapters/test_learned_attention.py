"""RecEraser's attention over adapters' scores."""

import torch

from recbole_apa.adapters.receraser_attention import fit_attention

ALL = torch.ones(3, dtype=torch.bool)


def planted(n, seed):
    """Adapter 0 is right where the first similarity is the largest, adapter 1 elsewhere; adapter 2 guesses."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (n,), generator=g).float()
    similarity = torch.rand(n, 3, generator=g)
    right = torch.where(labels == 1, 0.9, 0.1)
    first = similarity[:, 0] > similarity[:, 1]
    guess = torch.rand(n, generator=g) * 0.8 + 0.1
    scores = torch.stack([torch.where(first, right, 1 - right), torch.where(first, 1 - right, right), guess], dim=1)
    return scores, similarity, labels


def test_it_finds_which_adapter_is_right_where():
    attention = fit_attention(*planted(400, 0), ALL, seed=1)
    scores, similarity, labels = planted(400, 1)
    right = ((attention(scores, similarity) > 0.5) == (labels == 1)).float().mean()
    average = ((scores.mean(1) > 0.5) == (labels == 1)).float().mean()
    assert right > 0.8 > average


def test_equal_adapters_give_their_own_score_whatever_the_weights():
    scores, similarity, labels = planted(50, 0)
    same = scores[:, :1].expand(-1, 3)
    torch.testing.assert_close(fit_attention(same, similarity, labels, ALL, seed=1)(same, similarity), same[:, 0])


def test_an_empty_shard_gets_nothing_and_no_rows_mean_equal_weights():
    scores, similarity, labels = planted(50, 0)
    active = torch.tensor([True, False, True])
    weights = fit_attention(scores, similarity, labels, active, seed=1).weights(scores, similarity)
    assert bool((weights[:, 1] == 0).all())
    torch.testing.assert_close(weights.sum(1), torch.ones(50))
    untrained = fit_attention(scores[:0], similarity[:0], labels[:0], ALL, seed=1)
    torch.testing.assert_close(untrained.weights(scores, similarity), torch.full((50, 3), 1 / 3))


def test_the_same_seed_gives_the_same_attention_and_leaves_the_generator_alone():
    rows = planted(50, 0)
    before = torch.random.get_rng_state()
    one, two = (fit_attention(*rows, ALL, seed=1)(rows[0], rows[1]) for _ in range(2))
    assert torch.equal(one, two) and torch.equal(before, torch.random.get_rng_state())
