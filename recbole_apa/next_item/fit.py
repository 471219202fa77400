"""Train: read every user once, divide users into shards, sum up, solve."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch

from recbole_apa.core.errors import DataError, SettingsError
from recbole_apa.core.seeding import digest_of
from recbole_apa.core.system.threads import one_thread
from recbole_apa.next_item.counts import MOST_ITEMS, Counts, ItemCounts, TransitionCounts
from recbole_apa.next_item.data import NextItemData
from recbole_apa.next_item.derive import NO_ROWS, derive
from recbole_apa.next_item.generation import ItemCodes
from recbole_apa.next_item.identifiers import codes_of, refuse_long
from recbole_apa.next_item.sequences import n_targets
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import Learnt, NextItemState, SplitStates
from recbole_apa.next_item.taught_titles import with_adapters
from recbole_apa.next_item.title_training import TitleTrainer
from recbole_apa.next_item.user_rows import RowReader, UserRows, sums_of
from recbole_apa.partition.semantic import cosine_distances, fit_centres
from recbole_apa.partition.whole_users import assign_whole


def fit(
    data: NextItemData,
    reader: RowReader,
    settings: NextItemSettings,
    shard_of: Mapping[str, int] | None = None,
    step: Callable[[int], None] = lambda n: None,
    ends: Mapping[int, int] | None = None,
) -> NextItemState:
    """Train on all that is visible.

    Args:
        shard_of: users -> shards that are taken over; a user who is not in it gets the shard that ``hashed_user``
            would give. None divides users anew.
        step: as in :meth:`RowReader.read`.
        ends: as :attr:`~recbole_apa.next_item.state.Learnt.ends`; None trains every shard to its end.

    Raises:
        DataError: no training row is left.
        SettingsError: the catalogue is too large for counts, or adapters cannot be trained.
    """
    refuse_large(len(data.catalogue), settings)
    refuse_untrained(data, settings)
    trainer = title_trainer(data, reader, settings, codes_of(reader.states, data.catalogue, reader.grid, settings))
    if trainer is not None:
        refuse_long(trainer.identifiers, reader.states, data.catalogue, data.sequences)
    rows = list(reader.read(data.sequences, settings.all_rows, step))
    trained = [of_user for of_user in rows if len(of_user.targets)]
    with one_thread():  # distances round alike, whatever the number of threads
        shards = divide(trained, settings) if shard_of is None else keep(trained, shard_of, settings)
    members: list[list[UserRows]] = [[] for _ in range(settings.n_shards)]
    for of_user in trained:
        members[shards[of_user.sequence.user]].append(of_user)
    sums = [sums_of(users, len(data.catalogue), rows[0].held_states.shape[1]) for users in members]
    learnt = Learnt(
        shards,
        tuple(sums),
        counts_of(data, [of_user.sequence.user for of_user in rows], settings),
        split_states(rows, "valid"),
        split_states(rows, "test"),
        {of_user.sequence.user: lineage_of(of_user) for of_user in rows},
    )
    state = derive(reader.grid, learnt, data, settings, {})
    return trained_titles(state, data, trainer, dict.fromkeys(range(settings.n_shards), 0), ends)


def title_trainer(
    data: NextItemData, reader: RowReader, settings: NextItemSettings, codes: ItemCodes | None
) -> TitleTrainer | None:
    """What trains adapters; None where neither titles nor codes are trained.

    Args:
        codes: of the run; None of titles.

    Raises:
        SettingsError: as :class:`TitleTrainer`.
    """
    return None if settings.adapters == "none" else TitleTrainer(reader.states, data.catalogue, settings, codes)


def trained_titles(
    state: NextItemState,
    data: NextItemData,
    trainer: TitleTrainer | None,
    first: Mapping[int, int],
    ends: Mapping[int, int] | None = None,
) -> NextItemState:
    """The state with adapters and drafts of some shards trained on what ``data`` has of their users.

    Args:
        first: shard -> the first slice that changed.
        ends: as for :func:`fit`.
    """
    return state if trainer is None else with_adapters(state, data, trainer, first, ends or {})


def refuse_large(n_items: int, settings: NextItemSettings) -> None:
    """
    Raises:
        SettingsError: counts of pairs would not fit.
    """
    if settings.evidence == "counts" and n_items > MOST_ITEMS:
        raise SettingsError(
            f"evidence: counts of pairs of {n_items} items take {3 * 8 * n_items**2 / 2**30:.0f} GiB; expected at most "
            f"{MOST_ITEMS} items, or evidence: transitions, which counts pairs that occur, or none"
        )


def refuse_untrained(data: NextItemData, settings: NextItemSettings) -> None:
    """
    Raises:
        DataError: no training row is left.
    """
    if not any(n_targets(s, settings.history_length, settings.all_rows) for s in data.sequences):
        raise DataError(NO_ROWS)


def lineage_of(rows: UserRows) -> tuple[str, str]:
    """What a run notes of a user: the digests of the sequence and of the states."""
    return rows.sequence.digest, rows.digest


def counts_of(data: NextItemData, users: Iterable[str], settings: NextItemSettings) -> Counts | None:
    """The counts of some users' training periods."""
    if settings.evidence == "none":
        return None
    own = (data.catalogue.columns(data.of_user[user].trained) for user in users)
    kind = ItemCounts if settings.evidence == "counts" else TransitionCounts
    return kind.of(own, len(data.catalogue))


def split_states(rows: Sequence[UserRows], name: str) -> SplitStates:
    """The states of a split, of users in the order of ``rows``."""
    n_after = {"valid": 2, "test": 1}[name]
    own = [of_user for of_user in rows if of_user.sequence.n_held_out >= n_after]
    states = [of_user.valid_state if name == "valid" else of_user.test_state for of_user in own]
    width = rows[0].held_states.shape[1]
    stacked = torch.stack(states) if states else torch.empty(0, width, dtype=torch.int16)
    return SplitStates(tuple(of_user.sequence.user for of_user in own), stacked)


def divide(rows: Sequence[UserRows], settings: NextItemSettings) -> dict[str, int]:
    """User -> shard, of users with training rows."""
    users = [of_user.sequence.user for of_user in rows]
    if settings.hashes_users or not rows:
        return {user: hashed_shard(user, settings) for user in users}
    means = torch.stack([of_user.embedding() for of_user in rows])
    centres = fit_centres(users, means, settings.n_shards, settings.seed)
    sizes = [len(of_user.targets) for of_user in rows]
    capacity = math.ceil(sum(sizes) / settings.n_shards)
    return assign_whole(users, sizes, cosine_distances(means, centres).numpy(), capacity)


def keep(rows: Sequence[UserRows], shard_of: Mapping[str, int], settings: NextItemSettings) -> dict[str, int]:
    """The shards of a training before."""
    users = (of_user.sequence.user for of_user in rows)
    return {user: shard_of.get(user, hashed_shard(user, settings)) for user in users}


def hashed_shard(user: str, settings: NextItemSettings) -> int:
    """The shard that a user's name decides."""
    return int.from_bytes(digest_of(settings.seed, "next-item shard", user)[:8], "big") % settings.n_shards
