"""The rows that collaborative statistics are made of, as integers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.data.index.rows import NO_ROLE, TRAIN
from recbole_apa.data.row_blocks import row_blocks, row_numbers
from recbole_apa.data.run_data import RunData
from recbole_apa.data.tokens import Tokens

LABEL_UNIT, RATING_UNIT = 1, 1024
"""The integers that stand for 1."""
CENTRED_UNIT = 1024
"""The integer that stands for 1 in :meth:`TrainingRows.centred`."""
_LARGEST_RATING = 100
"""Sums of squares of smaller values stay below 2^63 for more than 10^8 rows of an item."""


@dataclass(frozen=True)
class TrainingRows:
    """Rows of the training period; of each user all or none. n rows."""

    users: np.ndarray
    """A number for each user, from 0, (n,)."""
    items: np.ndarray
    """The code of each row's item, (n,)."""
    values: np.ndarray
    """Labels, or ratings in fixed point, int64, (n,)."""
    unit: int = LABEL_UNIT
    """The integer that stands for 1 in ``values``."""

    def __len__(self) -> int:
        return len(self.values)

    def centred(self) -> np.ndarray:
        """Each value without the mean of its user's, rounded to 1/1024, as int64, (n,).

        It depends on that user's own rows alone, and on no other row's position.
        """
        n = np.bincount(self.users)
        sums = np.zeros(len(n), dtype=np.int64)
        np.add.at(sums, self.users, self.values)
        n = n[self.users]
        above, below = CENTRED_UNIT * (n * self.values - sums[self.users]), n * self.unit
        return (2 * above + below) // (2 * below)


@dataclass(frozen=True)
class ItemCodes:
    """The numbers of items in statistics, e.g. those of a run's index."""

    names: Sequence[str]
    """Items by code; ``""`` for a code without an item."""

    def of(self, items: Tokens) -> np.ndarray:
        """The code of each row's item, int64, (n,).

        Raises:
            KeyError: an item that has no code.
        """
        if items.names is self.names:
            return items.codes.astype(np.int64)
        used = np.unique(items.codes)
        codes = np.full(len(items.names), -1, dtype=np.int64)
        codes[used] = [self._code_of[items.names[code]] for code in used.tolist()]
        return codes[items.codes]

    def with_names(self, names: Iterable[str]) -> "ItemCodes":
        """With further items after those that there are; the same if there are no others."""
        others = [name for name in dict.fromkeys(names) if name not in self._code_of]
        return ItemCodes([*self.names, *others]) if others else self

    @cached_property
    def _code_of(self) -> dict[str, int]:
        return {name: code for code, name in enumerate(self.names) if name}


def training_rows(
    data: RunData, use_ratings: bool = False, codes: ItemCodes | None = None, user: str | None = None
) -> TrainingRows:
    """The rows of the training period among those that pass the filters, whether drawn for a sample or not.

    Targets of validation and test samples, and all other rows of those splits, are left out. Under
    ``protocol: tallrec`` the histories of training samples count as well.

    Args:
        data: whole users.
        use_ratings: take what labels are made of in place of labels.
        codes: of items; None takes those of ``data.rows``.
        user: take this user's rows alone.

    Raises:
        DataError: a rating is not finite or above 100.
    """
    users = data.rows.users
    return _counted_rows(
        data, row_numbers(len(users)) if user is None else users.where(user).nonzero()[0], use_ratings, codes
    )


def training_blocks(data: RunData, use_ratings: bool = False, codes: ItemCodes | None = None) -> Iterator[TrainingRows]:
    """:func:`training_rows` of some users at a time; arguments and errors likewise."""
    users = data.rows.users
    for rows in row_blocks(users.codes, len(users.names)):
        yield _counted_rows(data, rows, use_ratings, codes)


def _counted_rows(data: RunData, among: np.ndarray, use_ratings: bool, codes: ItemCodes | None) -> TrainingRows:
    """The rows of the training period among all rows of some users.

    Args:
        among: numbers among ``data.rows``.
    """
    rows, counted = data.rows, _counted(data, among)
    values, unit = integer_values(data, among, use_ratings)
    which = among[counted]
    items = (codes or ItemCodes(rows.items.names)).of(rows.items.take(which))
    # numbers of users without a counted row would cost room in every table of users
    users = np.unique(rows.users.codes[which], return_inverse=True)[1].reshape(-1)
    return TrainingRows(users, items, values[counted], unit)


def known_rows(
    data: RunData, targets: np.ndarray, codes: ItemCodes, rows_of_item: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much is known of some targets, (n,) each: rows of the training period with the item, those of the user, and
    the user's rows before the target, whichever split they are in.

    Args:
        data: all rows of the targets' users.
        targets: numbers among ``data.rows``, (n,).
        rows_of_item: rows of the training period by code of the item, (m,).
    """
    users = data.rows.users.codes
    own = np.flatnonzero(np.isin(users, users[targets]))
    of_user = np.bincount(users[own[_counted(data, own)]], minlength=len(data.rows.users.names))
    items = codes.of(data.rows.items.take(targets))
    return rows_of_item[items], of_user[users[targets]], data.windows.n_history[targets]


def counted_rows(data: RunData) -> np.ndarray:
    """Which of ``data.rows`` belong to the training period, bool, (m,); see :func:`training_rows`."""
    return _counted(data, row_numbers(len(data.rows.users)))


def _counted(data: RunData, among: np.ndarray) -> np.ndarray:
    """As :func:`counted_rows`, of some users' rows, bool, (r,).

    Args:
        among: numbers among ``data.rows`` of all rows of these users, (r,).
    """
    roles, users = data.notes.roles[data.kept[among]], data.rows.users
    counted: np.ndarray = roles == TRAIN
    if data.options.samples.protocol == "tallrec":
        trained = np.zeros(len(users.names), dtype=bool)
        trained[users.codes[among[counted]]] = True
        counted |= (roles == NO_ROLE) & trained[users.codes[among]]
    return counted


def integer_values(data: RunData, which: np.ndarray, use_ratings: bool = False) -> tuple[np.ndarray, int]:
    """The values of some of ``data.rows`` as integers, int64, (r,), and the integer that stands for 1; see
    :func:`training_rows`.

    Args:
        which: numbers of the rows, (r,).
    """
    if not use_ratings:
        return data.rows.labels[which].astype(np.int64), LABEL_UNIT
    assert data.rows.values is not None
    ratings = data.rows.values[which]
    wrong = ratings[~(np.abs(ratings) <= _LARGEST_RATING)]
    if len(wrong):
        raise DataError(
            f"found the rating {wrong[0]}; expected numbers from -{_LARGEST_RATING} to {_LARGEST_RATING}: "
            "scale the column, or use labels in place of ratings"
        )
    return np.rint(ratings * RATING_UNIT).astype(np.int64), RATING_UNIT
