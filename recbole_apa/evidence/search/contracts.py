"""Protocols for the data and samples that are searched: this room does not depend on the dataset classes."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np


class Names(Protocol):
    """A column of names: codes, (n,), into the distinct names."""

    @property
    def codes(self) -> np.ndarray: ...

    @property
    def names(self) -> Sequence[str]: ...

    def __getitem__(self, row: int) -> str: ...


class Told(Protocol):
    """Items and labels, (n,): the basis of statistics."""

    @property
    def items(self) -> Names: ...

    @property
    def labels(self) -> np.ndarray: ...

    def __len__(self) -> int: ...


class Rows(Told, Protocol):
    """Interactions, (n,)."""

    @property
    def users(self) -> Names: ...

    @property
    def times(self) -> np.ndarray | None: ...


class Shown(Protocol):
    """An interaction in a history."""

    @property
    def item_id(self) -> str: ...

    @property
    def label(self) -> int: ...

    @property
    def interaction_id(self) -> str: ...


class Target(Protocol):
    """A sample: the target, and the history before it."""

    @property
    def sample_id(self) -> str: ...

    @property
    def user_id(self) -> str: ...

    @property
    def item_id(self) -> str: ...

    @property
    def history(self) -> Sequence[Shown]: ...


class Origin(Protocol):
    """Where the rows of a dataset come from."""

    @property
    def added_at(self) -> np.ndarray | None:
        """Position in the ledger of the addition that brought each of the raw rows, (n,), 0 for rows of the files; None
        if there were no additions."""
        ...

    @property
    def kept(self) -> np.ndarray:
        """The number among the raw rows of each that passes the filters, (m,)."""
        ...


class Part(Protocol):
    """A RecBole dataset of one part, with its rows and the samples of all parts."""

    uid_field: str
    iid_field: str
    field2token_id: Mapping[str, Mapping[str, int]]
    """Column -> name -> RecBole's internal id."""
    inter_feat: Any
    """The part's table."""

    @property
    def raw_interactions(self) -> Rows: ...

    @property
    def interactions(self) -> Rows: ...

    @property
    def run_data(self) -> Origin: ...

    @property
    def train_rows(self) -> Told: ...

    @property
    def splits(self) -> Mapping[str, Sequence[Target]]: ...
