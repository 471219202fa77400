"""Types and ranges of RecBole's options, checked before RecBole reads them: it silently accepts many wrong values, or
fails on them in the middle of training."""

import codecs
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import TypeGuard

from recbole_apa.core.errors import SettingsError
from recbole_apa.core.intervals import parse_intervals
from recbole_apa.core.settings import GREATEST_SEED
from recbole_apa.data.eval_checks import eval_problems

_STATES = ("debug", "info", "warning", "error", "critical")


def recbole_problems(values: Mapping[str, object]) -> list[str]:
    """What is wrong with the options that RecBole reads; empty if nothing is."""
    out = [
        f"{name}: found {values[name]!r}, expected {expected}"
        for name, (holds, expected) in _CHECKS.items()
        if name in values and not holds(values[name])
    ]
    user, item = values.get("USER_ID_FIELD"), values.get("ITEM_ID_FIELD")
    if user is not None and user == item:
        out.append(f"USER_ID_FIELD and ITEM_ID_FIELD: found {user!r} for both, expected two columns")
    return [*out, *eval_problems(values.get("eval_args"))]


def is_whole(value: object, least: int) -> TypeGuard[int]:
    """Whether a value is a whole number of at least ``least``; true and false do not count."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether a value is a finite number; true, false and integers too large for a float do not count."""
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def odd_texts(values: Mapping[str, object]) -> list[str]:
    """Messages for options with lone surrogates or NULs, which neither files nor paths can hold."""
    out = []
    for name, value in values.items():
        try:
            text = value if isinstance(value, str) else repr(value)
            text.encode()
            odd = "\0" in text
        except (UnicodeEncodeError, RecursionError):
            odd = True
        if odd:
            out.append(f"{ascii(name)[1:-1]}: found {ascii(value)[:60]}, expected a text in UTF-8 without NUL")
    return out


def _whole(least: int) -> Callable[[object], bool]:
    return lambda value: is_whole(value, least)


def _or_null(holds: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: value is None or holds(value)


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _texts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(_text(v) for v in value)


def _path(value: object) -> bool:
    return _text(value) or isinstance(value, os.PathLike)


def _truth(value: object) -> bool:
    return isinstance(value, bool)


def _mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _columns(value: object) -> bool:
    """``{inter: [user_id, item_id], item: "*"}``."""
    return isinstance(value, Mapping) and all(_text(k) and (v == "*" or _texts(v)) for k, v in value.items())


def _interval(value: object) -> bool:
    """``[5,inf)``, or several separated by ``;``."""
    try:
        return isinstance(value, str) and bool(parse_intervals("", value))
    except SettingsError:
        return False


def _values(value: object) -> bool:
    """``{rating: "[3,5]", genre: [Horror]}``: intervals of numbers, lists of texts."""
    return isinstance(value, Mapping) and all(_interval(v) or isinstance(v, (list, tuple)) for v in value.values())


def _encoding(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        codecs.lookup(value)
    except (LookupError, TypeError, ValueError):
        return False
    return True


def _parts(value: object) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 3 and _texts(value)


def _places(value: object) -> bool:
    ks = value if isinstance(value, list) else [value]
    return bool(ks) and all(is_whole(k, 1) for k in ks)


def _gpus(value: object) -> bool:
    ids = list(value) if isinstance(value, (list, tuple)) else str(value).split(",")
    if isinstance(value, (bool, type(None))):
        return False
    return value == "" or all(re.fullmatch(r"\s*(\d+|(GPU|MIG)-\S+)\s*", str(i)) for i in ids)


_LIST = (_or_null(_texts), "a list of columns, or null")
_COUNTS = (_or_null(_interval), 'an interval such as "[5,inf)", or null')
_BOOL = (_truth, "true or false")
_CHECKS: dict[str, tuple[Callable[[object], bool], str]] = {
    "seed": (lambda v: is_whole(v, 0) and v <= GREATEST_SEED, f"a whole number from 0 to {GREATEST_SEED}"),
    "state": (_or_null(lambda v: str(v).lower() in _STATES), f"one of {', '.join(_STATES)}"),
    "reproducibility": _BOOL,
    "use_gpu": _BOOL,
    "gpu_id": (_gpus, 'a GPU\'s number, or several, e.g. "0,1"'),
    "worker": (_whole(0), "a whole number"),
    "data_path": (_path, "a folder"),
    "checkpoint_dir": (_path, "a folder"),
    "encoding": (_or_null(_encoding), "an encoding's name, e.g. utf-8 or latin-1"),
    "field_separator": (_text, 'a text, e.g. "\\t"'),
    "seq_separator": (_text, 'a text, e.g. " "'),
    "USER_ID_FIELD": (_or_null(_text), "a column's name"),
    "ITEM_ID_FIELD": (_or_null(_text), "a column's name"),
    "RATING_FIELD": (_or_null(_text), "a column's name"),
    "TIME_FIELD": (_or_null(_text), "a column's name, or null"),
    "LABEL_FIELD": (_or_null(_text), "a column's name"),
    "LIST_SUFFIX": (_text, "a text, e.g. _list"),
    "ITEM_LIST_LENGTH_FIELD": (_text, "a column's name"),
    "load_col": (_or_null(_columns), "e.g. {inter: [user_id, item_id, rating], item: [item_id, title]}"),
    "unload_col": (_or_null(_columns), "e.g. {item: [year]}, or null"),
    "unused_col": (_or_null(_columns), "e.g. {inter: [rating]}, or null"),
    "additional_feat_suffix": (_or_null(lambda v: _text(v) or _texts(v)), "a list of file endings, or null"),
    "numerical_features": _LIST,
    "alias_of_user_id": _LIST,
    "alias_of_item_id": _LIST,
    "seq_len": (_or_null(_mapping), "e.g. {title: 20}, or null"),
    "preload_weight": (_or_null(_mapping), "a mapping, or null"),
    "discretization": (_or_null(_mapping), "a mapping, or null"),
    "benchmark_filename": (_or_null(_parts), "three names, e.g. [train, valid, test], or null"),
    "rm_dup_inter": (_or_null(lambda v: v in ("first", "last")), "first, last or null"),
    "val_interval": (_or_null(_values), 'e.g. {rating: "[3,5]"} (or a list of texts), or null'),
    "filter_inter_by_user_or_item": _BOOL,
    "user_inter_num_interval": _COUNTS,
    "item_inter_num_interval": _COUNTS,
    "eval_batch_size": (_whole(1), "a whole number of at least 1"),
    "train_batch_size": (_whole(1), "a whole number of at least 1"),
    "epochs": (_whole(0), "a whole number"),
    "eval_step": (_whole(0), "a whole number"),
    "stopping_step": (_whole(0), "a whole number"),
    "metric_decimal_place": (_whole(0), "a whole number"),
    "metrics": (lambda v: _text(v) or (_texts(v) and bool(v)), "a list of metrics, e.g. [AUC, LogLoss]"),
    "valid_metric": (_text, "a metric, e.g. AUC or NDCG@10"),
    "topk": (_places, "a whole number of at least 1, or a list of them"),
    "repeatable": _BOOL,
    "normalize_all": (_or_null(_truth), "true, false or null"),
    "normalize_field": _LIST,
}
CHECKED = frozenset(_CHECKS)
"""RecBole's options whose types are checked."""
