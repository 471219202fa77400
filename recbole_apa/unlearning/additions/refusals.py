"""Rows that a run refuses to take: nothing is changed, and the message says which and why."""

from collections.abc import Mapping, Sequence

import numpy as np

from recbole_apa.core.errors import RequestError
from recbole_apa.core.places import FIRST, Place, Places
from recbole_apa.data.run_data import RunData
from recbole_apa.data.samples import Interactions, Sample
from recbole_apa.data.splits import SPLITS
from recbole_apa.data.visible_data import VisibleData
from recbole_apa.partition.assignment import Assignment
from recbole_apa.runs.names import point_name
from recbole_apa.unlearning.additions.incoming import Incoming

_MOST = 5


def refuse_known(before: RunData, incoming: Incoming) -> None:
    """
    Raises:
        RequestError: the run has some of the rows already: the same user, item, time and value.
    """
    raw = before.raw
    assert raw.values is not None
    users = set(incoming.users.names)
    mine = np.flatnonzero(np.array([name in users for name in raw.users.names], dtype=bool)[raw.users.codes])
    known = set(_rows(raw.users.texts(mine), raw.items.texts(mine), raw.times, raw.values, mine))
    all_rows = np.arange(len(incoming))
    asked = _rows(incoming.users.texts(), incoming.items.texts(), incoming.times, incoming.values, all_rows)
    _refuse(
        [incoming.where(row) for row, told in enumerate(asked) if told in known],
        "are in the run already: the same user, item, value and, if the run has times, time",
        "leave them out",
    )


def refuse_forgotten(
    seen: VisibleData, rows: Interactions, incoming: Incoming, readmit: bool
) -> tuple[int, frozenset[str]]:
    """
    Args:
        rows: the incoming rows.
        readmit: take them nevertheless.

    Returns:
        how many of the rows name something forgotten, and the digests under which it was.

    Raises:
        RequestError: there are some, and ``readmit`` is false.
    """
    named = np.flatnonzero(~seen.visible(rows))
    if not readmit:
        _refuse(
            [incoming.where(row) for row in named.tolist()],
            "name a user, an item or an interaction that was forgotten",
            "leave them out, or give --readmit if these people agree to be in the run again",
        )
    some = rows.take(named)
    return len(named), frozenset().union(*(part.naming(some) for part in seen.forgotten))


def refuse_early(
    before: RunData, incoming: Incoming, may_show: np.ndarray, assignment: Assignment, places: Places
) -> None:
    """
    Args:
        may_show: which rows a history may ever show, (n,), bool: those whose own values pass the filters. A row that a
            filter only counts or compares out may come in later.
        places: when each training sample is trained.

    Raises:
        RequestError: such a row is no later than a sample of the same user.
    """
    if incoming.times is None:
        return
    samples = _samples_of(before, set(incoming.users.names))
    late: dict[str, float] = {}
    for time, sample in samples:
        late[sample.user_id] = max(time, late.get(sample.user_id, time))
    rows = zip(incoming.users, incoming.times.tolist(), strict=True)
    early = [
        (row, user, time) for row, (user, time) in enumerate(rows) if may_show[row] and time <= late.get(user, -np.inf)
    ]
    first: dict[str, float] = {}
    for _, user, time in early:
        first[user] = min(time, first.get(user, time))
    hit = [s for time, s in samples if s.user_id in first and time >= first[s.user_id]]
    _refuse(
        [incoming.where(row) for row, _, _ in early],
        "are no later than a sample of the same user, before which nothing may join "
        f"(if they did, {_again(hit, assignment, places)})",
        "leave them out, or train a new run on all rows",
    )


def refuse_changed(
    before: Mapping[str, Sequence[Sample]],
    after: Mapping[str, Sequence[Sample]],
    assignment: Assignment,
    places: Places,
) -> None:
    """
    Args:
        before, after: the samples by split, without and with the addition.

    Raises:
        RequestError: a sample that the run has would be another one, or none.
    """
    hit = []
    for name in SPLITS:
        now = {s.sample_id: s for s in after[name]}
        hit += [s for s in before[name] if now.get(s.sample_id) != s]
    if hit:
        raise RequestError(
            f"the rows would change {len(hit)} samples that the run has, as filters that compare or count rows "
            f"(rm_dup_inter, user_inter_num_interval, item_inter_num_interval) let other rows pass "
            f"({_again(hit, assignment, places)}); nothing was changed: leave out the rows of these users or items, or "
            "train a new run on all rows"
        )


def _again(hit: Sequence[Sample], assignment: Assignment, places: Places) -> str:
    """What would have to be trained again if samples changed."""
    first: dict[int, Place] = {}
    for sample in (s for s in hit if s.sample_id in assignment.shard_of):
        shard, place = assignment.shard_of[sample.sample_id], places.of(sample.sample_id, sample.user_id)
        first[shard] = min(place, first.get(shard, place))
    shards = ", ".join(
        f"{shard:03d} from {'its start' if place == FIRST else 'point ' + point_name(*place)}"
        for shard, place in sorted(first.items())
    )
    return f"to be trained again: {'shards ' + shards if shards else 'no shard'}"


def _samples_of(data: RunData, users: set[str]) -> list[tuple[float, Sample]]:
    """The samples of some users, each with the time of its target."""
    times = data.rows.times
    assert times is not None
    return [
        (time, sample)
        for name in SPLITS
        for time, sample in zip(times[data.targets[name]].tolist(), data.samples[name], strict=True)
        if sample.user_id in users
    ]


def _rows(
    users: Sequence[str], items: Sequence[str], times: np.ndarray | None, values: np.ndarray, which: np.ndarray
) -> list[tuple[str, str, float, float]]:
    told = np.zeros(len(which)) if times is None else times[which]
    return list(zip(users, items, told.tolist(), values[which].tolist(), strict=True))


def _refuse(places: Sequence[str], what: str, to_do: str) -> None:
    if places:
        more = f" and {len(places) - _MOST} more" if len(places) > _MOST else ""
        raise RequestError(f"found rows that {what}: {'; '.join(places[:_MOST])}{more}; nothing was changed: {to_do}")
