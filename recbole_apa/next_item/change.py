"""From one state to the next: users whose sequences changed are taken out of the sums, and what they are now added.

Sums are whole numbers, so what remains has the bits of a training without those rows.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from logging import getLogger

import torch

from recbole_apa.core.errors import RunError
from recbole_apa.next_item.counts import Counts, exchanged
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.derive import derive
from recbole_apa.next_item.differences import differences
from recbole_apa.next_item.fit import counts_of, hashed_shard, lineage_of, split_states, title_trainer, trained_titles
from recbole_apa.next_item.sequences import n_targets
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import Learnt, NextItemState, SplitStates
from recbole_apa.next_item.title_slices import first_slices
from recbole_apa.next_item.user_rows import RowReader, UserRows, sums_of


@dataclass(frozen=True)
class Change:
    """Which users a request or an addition changes, and what that touches."""

    users: tuple[str, ...]
    """Users whose sequence is another, or gone, in order of their names."""
    gone: tuple[str, ...]
    """Those of whom nothing is left."""
    new: tuple[str, ...]
    """Those whom the run has not read before."""
    shards: tuple[int, ...]
    """Shards whose sums change."""
    first: Mapping[int, int] = field(default_factory=dict)
    """Each of them -> the first slice that holds one of these users."""

    @property
    def n_readings(self) -> int:
        """How often a user is read: as before, and as now."""
        return 2 * len(self.users) - len(self.gone) - len(self.new)


@dataclass(frozen=True)
class Exchange:
    """What a run has read so far, what it is to read in its place, and what differs: worked out once a request."""

    old: NextItemData
    new: NextItemData
    change: Change


def exchange_of(before: NextItemState, old: NextItemData, new: NextItemData, settings: NextItemSettings) -> Exchange:
    """
    Args:
        before: made from ``old``.

    Raises:
        RunError: no rows have joined, and there are users whom the run has not read.
    """
    return Exchange(old, new, _change(before, new, settings, joins=len(new.added) > len(old.added)))


def _change(before: NextItemState, after: NextItemData, settings: NextItemSettings, joins: bool) -> Change:
    lineage, now = before.learnt.lineage, {user: s.digest for user, s in after.of_user.items()}
    new = sorted(now.keys() - lineage.keys())
    users = sorted([user for user, (digest, _) in lineage.items() if now.get(user) != digest] + new)
    if new and not joins:
        raise RunError(
            f"the data has {len(new)} users whom the run has not read: restore the files, let rows join with --add, or "
            "train a new run"
        )
    shard_of = before.learnt.shard_of
    hit = [(user, shard_of[user]) for user in users if user in shard_of]
    hit += [
        (user, hashed_shard(user, settings))
        for user in users
        if user not in shard_of and _trains(user, after, settings)
    ]
    first = first_slices(hit, settings)
    return Change(tuple(users), tuple(u for u in users if u not in now), tuple(new), tuple(first), first)


def _trains(user: str, data: NextItemData, settings: NextItemSettings) -> bool:
    """Whether a user has training rows."""
    sequence = data.of_user.get(user)
    return sequence is not None and n_targets(sequence, settings.history_length, settings.all_rows) > 0


def changed_sums(before: NextItemState, after: NextItemState) -> tuple[int, ...]:
    """Shards whose sums are others."""
    pairs = enumerate(zip(before.learnt.sums, after.learnt.sums, strict=True))
    return tuple(k for k, (one, other) in pairs if differences(one, other))


def retrained_state(
    state: NextItemState, made: Exchange, reader: RowReader, settings: NextItemSettings
) -> NextItemState:
    """An exchanged state in which adapters of shards that changed, or that lack theirs, are trained."""
    trainer = title_trainer(made.new, reader, settings, state.codes)
    return trained_titles(state, made.new, trainer, made.change.first)


def exchanged_state(
    before: NextItemState,
    made: Exchange,
    reader: RowReader,
    settings: NextItemSettings,
    step: Callable[[int], None] = lambda n: None,
) -> NextItemState:
    """The state without what the new data lacks, and with what it has besides; shards and all other users' parts stay,
    and so do all adapters, those of changed shards included. A user who had no training row gets the shard that
    ``hashed_user`` gives, as in a training that takes shards over.

    Args:
        made: from the state's data to another.
        step: called with how many users were read since the last call.

    Raises:
        DataError: no training row is left.
        RunError: the backbone does not give the states any more that are in the sums.
    """
    old, new, change = made.old, made.new, made.change
    known = [user for user in change.users if user in before.learnt.lineage]
    was = {r.sequence.user: r for r in reader.read([old.of_user[user] for user in known], settings.all_rows, step)}
    left = [user for user in change.users if user in new.of_user]
    now = {r.sequence.user: r for r in reader.read([new.of_user[user] for user in left], settings.all_rows, step)}
    _refuse_other_states(before, was)
    learnt = before.learnt
    n_items = len(new.catalogue)
    sums = list(learnt.sums)
    width = sums[0].gram.shape[0]
    shard_of = _shards_after(learnt.shard_of, change, now, settings)
    for shard in change.shards:
        gone = [rows for user, rows in was.items() if learnt.shard_of.get(user) == shard]
        come = [rows for user, rows in now.items() if shard_of.get(user) == shard]
        sums[shard] = sums[shard].minus(sums_of(gone, n_items, width)).plus(sums_of(come, n_items, width))
    after = replace(
        learnt,
        shard_of=shard_of,
        sums=tuple(sums),
        counts=_counts(learnt.counts, old, new, change.users, settings),
        valid=_replaced(learnt.valid, change.users, list(now.values()), "valid"),
        test=_replaced(learnt.test, change.users, list(now.values()), "test"),
        lineage=_lineage(learnt, change, now),
    )
    unchanged = {k: before.heads.weights[k] for k in range(settings.n_shards) if k not in change.shards}
    return replace(derive(before.grid, after, new, settings, unchanged), codes=before.codes)


def _refuse_other_states(before: NextItemState, was: Mapping[str, UserRows]) -> None:
    other = [user for user, rows in was.items() if lineage_of(rows) != before.learnt.lineage[user]]
    if other:
        getLogger().debug(f"{len(other)} users have other states than at their training")
        raise RunError(
            f"the backbone gives other states for {len(other)} of {len(was)} users than those in the run's sums, which "
            "thus cannot be taken out: this is another kind of machine, or the data is not what the run has read; "
            "give the request again with --exactness=fresh, which trains everything again, or use --resume on a "
            "machine like the run's"
        )


def _shards_after(
    shard_of: Mapping[str, int], change: Change, now: Mapping[str, UserRows], settings: NextItemSettings
) -> dict[str, int]:
    changed = set(change.users)
    kept = {u: k for u, k in shard_of.items() if u not in changed}
    trained = (u for u in change.users if u in now and len(now[u].targets))
    return {**kept, **{u: shard_of.get(u, hashed_shard(u, settings)) for u in trained}}


def _counts(
    counts: Counts | None,
    old: NextItemData,
    new: NextItemData,
    users: Sequence[str],
    settings: NextItemSettings,
) -> Counts | None:
    before = counts_of(old, [user for user in users if user in old.of_user], settings)
    after = counts_of(new, [user for user in users if user in new.of_user], settings)
    return None if counts is None or before is None or after is None else exchanged(counts, before, after)


def _replaced(split: SplitStates, changed: Sequence[str], now: Sequence[UserRows], name: str) -> SplitStates:
    """A split's states with those of changed users replaced or left out, in order of the users' names."""
    gone = set(changed)
    rows = {user: split.states[row] for row, user in enumerate(split.users) if user not in gone}
    if now:
        found = split_states(now, name)
        rows |= dict(zip(found.users, found.states, strict=True))
    users = tuple(sorted(rows))
    return SplitStates(users, torch.stack([rows[u] for u in users]) if users else split.states[:0])


def _lineage(learnt: Learnt, change: Change, now: Mapping[str, UserRows]) -> dict[str, tuple[str, str]]:
    gone = set(change.gone)
    kept = {user: told for user, told in learnt.lineage.items() if user not in gone}
    return {**kept, **{user: lineage_of(rows) for user, rows in now.items()}}
