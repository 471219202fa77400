"""The files of a run's collaborative statistics, see :class:`~recbole_apa.collaborative.Fitted`; without torch."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from recbole_apa.collaborative import (
    JUDGED,
    Combination,
    Fitted,
    ItemCodes,
    ItemStates,
    Statistics,
    TermOptions,
    model_key,
    model_names,
    splits_scored,
)
from recbole_apa.core.errors import RunError
from recbole_apa.core.files.whole import write_json, write_whole
from recbole_apa.data.splits import EVIDENCE
from recbole_apa.runs.files import RunFiles
from recbole_apa.runs.manifest import Manifest
from recbole_apa.runs.names import COLLABORATIVE_SCORES, COLLABORATIVE_SUMS, COMBINATION, ITEM_STATES, MEMORY, METRICS
from recbole_apa.runs.state_files import StateFiles

_RESTORE = "restore the run folder from a copy"
_OPTIONS, _COMBINATION, _CONTENT, _COLUMNS = "term_options", "combination", "content", "columns"


def keeps_statistics(manifest: Manifest) -> bool:
    """Whether a run keeps collaborative statistics."""
    return manifest["settings"].get("evidence") == "counts"


def save_collaborative(files: RunFiles, fitted: Fitted) -> None:
    """Write all its files."""
    _save(files.folder / COLLABORATIVE_SUMS, fitted.statistics.arrays())
    save_collaborative_scores(files, fitted.scores)
    if fitted.states is not None:
        arrays = {"items": fitted.states.items, "states": fitted.states.values.astype(np.float32)}
        _save(files.folder / ITEM_STATES, arrays)
    write_json(files.folder / COMBINATION, _told(fitted.combination, fitted.options, fitted.content, fitted.columns))


def save_collaborative_scores(files: RunFiles, scores: Mapping[str, np.ndarray]) -> None:
    """``collaborative/scores.safetensors``: :attr:`Fitted.scores`."""
    _save(files.folder / COLLABORATIVE_SCORES, {name: values.astype(np.float64) for name, values in scores.items()})


def load_collaborative(files: StateFiles, codes: ItemCodes) -> Fitted:
    """What :func:`save_collaborative` wrote.

    Args:
        codes: of the run's items.

    Raises:
        RunError: missing, damaged, or of other items or samples.
    """
    told = files.read_json(COMBINATION)
    try:
        options = TermOptions.from_json(told[_OPTIONS])
        content, columns = str(told[_CONTENT]), str(told.get(_COLUMNS, ""))
        combined = None if told[_COMBINATION] is None else Combination.from_json(told[_COMBINATION])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{files.folder / COMBINATION} is damaged ({str(error)[:120]}); {_RESTORE}") from None
    if _told(combined, options, content, columns) != told:
        raise RunError(f"{files.folder / COMBINATION} holds more than a combination; {_RESTORE}")
    statistics = Statistics.read(load_sums(files), codes, options.use_ratings)
    scores = load_collaborative_scores(files)
    if (combined is None) != (len(scores["valid"]) == 0):
        raise RunError(f"{files.folder / COMBINATION} does not fit the run's validation samples; {_RESTORE}")
    states = load_item_states(files, codes) if options.state_width else None
    fitted = Fitted(statistics, scores, combined, options, content, states, columns)
    if combined is not None and combined.terms[len(combined.terms) - len(fitted.models) :] != fitted.models:
        raise RunError(f"{files.folder / COMBINATION} has other terms than {COLLABORATIVE_SCORES}; {_RESTORE}")
    return fitted


def load_sums(files: StateFiles) -> dict[str, np.ndarray]:
    """The arrays of ``collaborative/sums.safetensors``, as they are.

    Raises:
        RunError: missing or damaged.
    """
    return _arrays(files, COLLABORATIVE_SUMS)


def load_collaborative_scores(files: StateFiles) -> dict[str, np.ndarray]:
    """:attr:`Fitted.scores`; see :func:`load_collaborative`."""
    scores, path = _arrays(files, COLLABORATIVE_SCORES), files.folder / COLLABORATIVE_SCORES
    seen = files.lineage()
    models = model_names(scores)
    # how many further rows there are is not in the lineage: all models have as many
    n_further = next((len(scores[key]) for name in models if (key := model_key(EVIDENCE, name)) in scores), 0)
    n_samples = {"valid": len(seen.get(MEMORY, {})), "test": len(seen.get(METRICS, {})), EVIDENCE: n_further}
    of_models = {model_key(split, name) for split in splits_scored(n_further) for name in models}
    if not {"valid"} | of_models <= set(scores) <= {*JUDGED, *of_models}:
        raise RunError(f"{path} holds {', '.join(sorted(scores)) or 'nothing'}, expected valid and test; {_RESTORE}")
    for name, values in scores.items():
        n = n_samples[name.partition(".")[0]]
        if values.dtype != np.float64 or values.shape != (n,):
            raise RunError(
                f"{path}: {name} has {values.dtype} of shape {values.shape}, expected float64 of {n} samples; "
                + _RESTORE
            )
        if name in JUDGED and not ((values >= 0) & (values <= 1)).all():
            raise RunError(f"{path}: {name} holds values outside 0 to 1; {_RESTORE}")
        if not np.isfinite(values).all():
            raise RunError(f"{path}: {name} holds values that are not finite; {_RESTORE}")
    return scores


def load_item_states(files: StateFiles, codes: ItemCodes) -> ItemStates:
    """``collaborative/item_states.safetensors``.

    Raises:
        RunError: missing, damaged, or of items that there are not.
    """
    arrays, path = _arrays(files, ITEM_STATES), files.folder / ITEM_STATES
    kinds = {name: (str(array.dtype), array.shape) for name, array in arrays.items()}
    items, values = (arrays.get(name, np.zeros(0)) for name in ("items", "states"))
    shapes = {"items": ("int64", (len(items),)), "states": ("float32", (len(items), *values.shape[1:2]))}
    if kinds != shapes or values.ndim != 2:
        raise RunError(
            f"{path} holds {kinds}, expected items, int64 of (n,), and states, float32 of (n, d); {_RESTORE}"
        )
    known = np.array([bool(name) for name in codes.names], dtype=bool)
    inside = (items >= 0) & (items < len(known))
    if not (np.diff(items) > 0).all() or not inside.all() or not known[items].all():
        raise RunError(f"{path} holds items out of order, or such as there are not; {_RESTORE}")
    if not np.isfinite(values).all():
        raise RunError(f"{path} holds values that are not finite; {_RESTORE}")
    return ItemStates(items, values)


def _told(combined: Combination | None, options: TermOptions, content: str, columns: str) -> dict[str, object]:
    """What ``collaborative/combination.json`` holds."""
    told: dict[str, object] = {_COMBINATION: combined and combined.to_json(), _OPTIONS: options.to_json()}
    told[_CONTENT] = content
    return told | ({_COLUMNS: columns} if columns else {})


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    from safetensors.numpy import save_file

    whole = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    write_whole(path, lambda target: save_file(whole, target))


def _arrays(files: RunFiles, name: str) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    try:
        found: dict[str, np.ndarray] = load(files.read(name))
    except RunError:
        raise
    except Exception as error:  # the parser raises its own error classes, and others for odd headers
        raise RunError(f"{files.folder / name} is damaged ({str(error)[:120]}); {_RESTORE}") from None
    return found
