"""How a run reads its data and makes samples of it, as plain values; independent of RecBole.

Made from RecBole's configuration by :mod:`.recbole_data_options` when a run is trained, and kept with the run.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar, cast

import numpy as np

from recbole_apa.core.errors import DataError
from recbole_apa.core.option_table import LATER_OPTIONS, OPTIONS
from recbole_apa.core.options import check_given
from recbole_apa.core.settings import SampleSettings
from recbole_apa.data.eval_checks import eval_problems
from recbole_apa.data.filters import FilterSettings
from recbole_apa.data.recbole_split import SplitSettings

T = TypeVar("T")
ALL_COLUMNS = "*"
"""Stands for all columns of a file in :attr:`FileOptions.load`."""


@dataclass(frozen=True)
class FileOptions:
    """How the files of a dataset are read."""

    user: str
    """The column that holds users."""
    item: str
    time: str | None
    ids: tuple[str, ...]
    """Columns that hold users or items, or lists of them: always read as texts."""
    numbers: tuple[str, ...]
    """Columns of the interactions that hold labels or times, whatever type the header declares."""
    load: Mapping[str, Any] | None = None
    """RecBole's ``load_col``: kind of file (``inter``, ``item``, ``user``) -> columns to read, or :data:`ALL_COLUMNS`;
    kinds that it does not name are not read. None reads all columns of all files."""
    unload: Mapping[str, Any] | None = None
    """RecBole's ``unload_col``: kind of file -> columns to leave out."""
    separator: str = "\t"
    encoding: str | None = None
    presplit: tuple[str, ...] | None = None
    """Names of the three parts (``benchmark_filename``) if the interactions are already split."""
    seq_separator: str = " "
    """What separates the words of a ``token_seq`` column."""
    seq_len: Mapping[str, int] = field(default_factory=dict)
    """Column -> how many of its words are read."""

    def columns(self, kind: str) -> tuple[frozenset[str] | None, frozenset[str]]:
        """Which columns of a kind of file are read (None for all), and which are left out.

        Raises:
            DataError: ``load_col`` and ``unload_col`` are both set for this kind.
        """
        load = None if self.load is None else self.load.get(kind, ())
        wanted = None if load is None or load == ALL_COLUMNS else frozenset(load)
        unwanted = frozenset((self.unload or {}).get(kind, ()))
        if wanted and unwanted:
            raise DataError(
                f"load_col {sorted(wanted)} and unload_col {sorted(unwanted)} are both set for .{kind}: expected one"
            )
        return wanted, unwanted


@dataclass(frozen=True)
class LabelRule:
    """RecBole's ``threshold``."""

    column: str
    """The column that labels come from."""
    least: float
    """Rows with at least this value there have the label 1."""

    def labels(self, values: np.ndarray) -> np.ndarray:
        """0 or 1, int8, (n,).

        Args:
            values: the column, (n,).
        """
        return (values >= self.least).astype(np.int8)


@dataclass(frozen=True)
class DataOptions:
    """Everything that decides which rows a run sees, and which samples are made of them."""

    files: FileOptions
    label: LabelRule
    filters: FilterSettings
    split: SplitSettings | None
    """None if files are split beforehand, or ``samples.protocol`` is ``tallrec``."""
    samples: SampleSettings

    def to_json(self) -> dict[str, object]:
        """The options as JSON holds them; :meth:`from_json` reads them again."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_json(cls, told: object) -> "DataOptions":
        """Parse what :meth:`to_json` returned.

        Raises:
            DataError: it is something else, e.g. options of a later version.
            SettingsError: a sample setting is of the wrong type or out of range.
        """
        values = _named(cls, told)
        filters, samples = _named(FilterSettings, values["filters"]), _samples(values["samples"])
        check_given(SampleSettings, samples)
        split = None if values["split"] is None else _split(values["split"])
        made = SampleSettings(**samples)
        return cls(_files(values["files"]), _label(values["label"]), FilterSettings(**filters), split, made)


def _samples(told: object) -> dict[str, Any]:
    """Sample settings; one that came after the index was written has the value that changes nothing."""
    later = {name: LATER_OPTIONS[name] for name in LATER_OPTIONS if OPTIONS[name].group is SampleSettings}
    return _named(SampleSettings, {**later, **told} if isinstance(told, Mapping) else told)


def _split(told: object) -> SplitSettings:
    values = _named(SplitSettings, told)
    problems = eval_problems({"split": {str(values["mode"]): values["value"]}, "order": values["order"]})
    if problems:
        raise DataError(f"the run's data options: {'; '.join(problems)}")
    _checked(values["by_user"], lambda v: isinstance(v, bool), "true or false for by_user")
    _checked(values["seed"], lambda v: isinstance(v, int), "a whole number for the seed")
    return SplitSettings(**values)


def _files(told: object) -> FileOptions:
    values = _named(FileOptions, told)
    for name in ("ids", "numbers", "presplit"):
        if values[name] is not None:
            values[name] = tuple(_checked(values[name], _is_texts, f"a list of names for {name}"))
    for name in ("user", "item", "separator", "seq_separator"):
        _checked(values[name], _is_text, f"a text for {name}")
    return FileOptions(**values)


def _label(told: object) -> LabelRule:
    values = _named(LabelRule, told)
    column = _checked(values["column"], _is_text, "a column's name")
    return LabelRule(column, _checked(values["least"], _is_number, "a number for the threshold"))


def _named(cls: type, told: object) -> dict[str, Any]:
    """The values of a dataclass, by field; all fields are there, and no others."""
    expected = {f.name for f in fields(cls)}
    found = set(told) if isinstance(told, Mapping) else None
    if found != expected:
        shown = "no object" if found is None else ", ".join(sorted(map(str, found)))
        raise DataError(f"the run's data options: found {shown}, expected {', '.join(sorted(expected))}")
    return dict(cast("Mapping[str, Any]", told))


def _checked(value: T, holds: Callable[[object], bool], expected: str) -> T:
    if not holds(value):
        raise DataError(f"the run's data options: found {value!r}, expected {expected}")
    return value


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(value: object) -> object:
    """A value as JSON holds it."""
    if hasattr(value, "__dataclass_fields__"):
        return _plain(asdict(cast("Any", value)))
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value
