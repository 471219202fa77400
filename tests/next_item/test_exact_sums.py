"""A user can be taken out of a state in every bit."""

from dataclasses import fields, replace

import torch

from recbole_apa.next_item.counts import ItemCounts, TransitionCounts, fit_fusion, scores_of
from recbole_apa.next_item.counts.sums import GAP_WEIGHTS
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.fit import fit
from recbole_apa.next_item.heads import HeadSums, StateGrid, solve_head
from recbole_apa.next_item.sequences import UserSequence
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.user_rows import RowReader
from tests.helpers.small_adapters import changed_state
from tests.helpers.threads import on_one_and_three_threads


def same(a, b) -> list[str]:
    """Names of the fields in which two states differ."""
    out = []
    for f in fields(a):
        x, y = getattr(a, f.name), getattr(b, f.name)
        if hasattr(x, "__dataclass_fields__"):
            out += [f"{f.name}.{name}" for name in same(x, y)]
        elif isinstance(x, torch.Tensor):
            out += [] if x.dtype == y.dtype and torch.equal(x, y) else [f.name]
        elif isinstance(x, tuple) and x and hasattr(x[0], "__dataclass_fields__"):
            out += [f"{f.name}[{i}].{name}" for i, (p, q) in enumerate(zip(x, y, strict=True)) for name in same(p, q)]
        elif x != y:
            out.append(f.name)
    return out


def without(data: NextItemData, user: str, item: str | None = None) -> NextItemData:
    """The data without a user, or without one of his items."""
    kept = []
    for sequence in data.sequences:
        items = tuple(i for i in sequence.items if item is not None and i != item)
        if sequence.user != user:
            kept.append(sequence)
        elif items:
            kept.append(UserSequence(user, items))
    return NextItemData(data.raw, data.catalogue, tuple(kept))


def test_sums_do_not_depend_on_the_order_and_what_was_added_can_be_taken_out():
    states = StateGrid.of_texts(torch.randn(20, 6)).on_grid(torch.randn(40, 6) * 3)
    targets = torch.randint(0, 9, (40,))
    whole, order = HeadSums.of(states, targets, 9), torch.randperm(40)
    assert same(whole, HeadSums.of(states[order], targets[order], 9)) == []
    some, rest = HeadSums.of(states[:7], targets[:7], 9), HeadSums.of(states[7:], targets[7:], 9)
    assert same(whole.minus(some), rest) == [] and same(some.plus(rest), whole) == []
    assert same(whole, rest) != []


def test_a_head_is_the_ridge_regression_of_its_rows():
    states = StateGrid.of_texts(torch.randn(20, 6)).on_grid(torch.randn(40, 6))
    targets = torch.randint(0, 5, (40,))
    head = solve_head(HeadSums.of(states, targets, 5), 0.1)
    x, y = states.double() / 128, torch.nn.functional.one_hot(targets, 5).double()
    penalty = torch.full((7,), 0.1 * 40, dtype=torch.float64)
    penalty[-1] = 0
    assert torch.allclose(head.T, torch.linalg.solve(x.T @ x + penalty.diag(), x.T @ y), atol=1e-10)


def test_without_a_user_the_state_has_the_bits_of_a_training_without_him(read):
    options, data, reader = read
    before = fit(data, reader, options.settings)
    for user, item in (("u5", None), ("u7", data.of_user["u7"].items[2]), ("u8", data.of_user["u8"].items[-1])):
        new = without(data, user, item)
        found = changed_state(before, data, new, reader, options.settings)
        fresh = fit(new, reader, options.settings, found.learnt.shard_of)
        assert same(found, fresh) == [] and same(found, before) != []
        touched = before.learnt.shard_of[user]
        for k in range(options.settings.n_shards):
            is_same = torch.equal(found.heads.weights[k], before.heads.weights[k])
            assert is_same == (k != touched)


def test_a_hashed_user_has_the_same_shard_whoever_else_there_is(read):
    options, data, reader = read
    settings = replace(options.settings, partition="hashed_user")
    before, new = fit(data, reader, settings), without(data, "u9")
    assert same(changed_state(before, data, new, reader, settings), fit(new, reader, settings)) == []


def test_the_number_of_threads_changes_no_bit(read):
    options, data, reader = read
    settings = replace(options.settings, partition="semantic_user")
    found = on_one_and_three_threads(lambda: fit(data, RowReader(reader.states, data.catalogue), settings))
    assert same(*found) == [] and same(found[0], fit(data, reader, replace(settings, seed=2))) != []


def test_a_fusion_of_one_useful_term_finds_it_and_lowers_the_loss():
    draw = torch.Generator().manual_seed(0)
    terms = torch.randn(3, 200, 12, generator=draw, dtype=torch.float64)
    chances = torch.softmax(2 * terms[1], 1)
    targets = torch.multinomial(chances, 1, generator=draw)[:, 0]
    allowed = torch.rand(200, 12, generator=draw) > 0.2
    allowed[torch.arange(200), targets] = True
    fusion = fit_fusion(terms, allowed, targets)
    first, second, third = fusion.coefficients
    assert second > 1.5 and abs(first) < 0.3 and abs(third) < 0.3
    uniform = float(allowed.sum(1).double().log().mean())
    assert fusion.log_loss < uniform - 0.5
    scores = fusion(terms).masked_fill(~allowed, float("-inf"))
    own = torch.log_softmax(scores, 1).gather(1, targets[:, None])
    assert abs(float(-own.mean()) - fusion.log_loss) < 1e-9
    order = torch.randperm(200, generator=draw)
    again = fit_fusion(terms[:, order], allowed[order], targets[order])
    assert torch.allclose(torch.tensor(again.coefficients), torch.tensor(fusion.coefficients), atol=1e-6)


def test_counts_are_those_of_the_sequences():
    counts = ItemCounts.of([[0, 1, 2], [1, 1, 3]], 5)
    assert counts.together[0, 2] == 1 and counts.together[1, 1] == 2 and counts.together[1, 3] == 1
    first, second = GAP_WEIGHTS[:2]
    assert counts.followed[0, 1] == first and counts.followed[0, 2] == second and counts.followed[1, 0] == 0
    assert counts.followed[1, 3] == first + second and counts.followed[1, 1] == first
    assert same(counts.minus(ItemCounts.of([[1, 1, 3]], 5)), ItemCounts.of([[0, 1, 2]], 5)) == []


def test_pairs_that_occur_are_all_pairs_and_say_the_same():
    draw = torch.Generator().manual_seed(1)
    users = [torch.randint(0, 40, (n,), generator=draw).tolist() for n in (0, 1, 2, 30, 30, 45)]
    dense, sparse = ItemCounts.of(users, 40), TransitionCounts.of(users, 40)
    assert torch.equal(dense.followed.flatten().nonzero()[:, 0], sparse.pairs)
    assert torch.equal(dense.followed.flatten()[sparse.pairs], sparse.weights) and sparse.n_users == dense.n_users
    whole, some = scores_of(dense), scores_of(sparse)
    assert torch.equal(whole.terms(users)[1:], some.terms(users))
    left = sparse.minus(TransitionCounts.of(users[3:5], 40))
    assert same(left, TransitionCounts.of([*users[:3], users[5]], 40)) == []
    assert same(left.plus(TransitionCounts.of(users[3:5], 40)), sparse) == []
    recent = users[5][: -len(GAP_WEIGHTS) - 1 : -1]
    for column in range(40):
        added = [float(whole.follows[i, column]) * w for i, w in zip(recent, GAP_WEIGHTS, strict=True)]
        expected = recent[added.index(max(added))] if max(added) > 0 else None
        assert some.strongest(users[5], column) == expected


def test_rows_before_the_last_pass_count_as_read_by_themselves(read):
    options, data, reader = read
    user = max(data.sequences, key=lambda sequence: len(sequence.items))
    length = options.settings.history_length
    shown, every = (next(iter(reader.read([user], all_rows))) for all_rows in (False, True))
    n_earlier = len(every.targets) - len(shown.targets)
    assert n_earlier == len(user.items) - 1 - length > 0
    assert torch.equal(every.train_states[n_earlier:], shown.train_states)
    assert torch.equal(every.held_states, shown.held_states)
    latest = user.items[max(0, n_earlier - length) : n_earlier]
    alone = reader.grid.on_grid(reader.states.after_each(data.catalogue.texts_of(latest)))
    assert torch.equal(every.train_states[n_earlier - len(latest) : n_earlier], alone)
    assert every.targets[n_earlier - 1] == data.catalogue.column(shown.sequence.shown(length)[0])


def test_all_rows_and_those_of_the_last_pass_are_two_trainings(read):
    options, data, reader = read
    every, shown = (fit(data, reader, replace(options.settings, head_rows=rows)) for rows in ("all", "shown"))
    counted = [sum(sums.n_rows for sums in state.learnt.sums) for state in (every, shown)]
    before = {name: value for name, value in options.settings.plain().items() if name != "head_rows"}
    assert NextItemSettings(**before).head_rows == "shown"  # a run of before the option existed
    assert counted[0] == sum(max(0, len(sequence.trained) - 1) for sequence in data.sequences) > counted[1]
