"""A state as files, and back; never pickled.

Shapes: v users, m items of the catalogue, k shards, d hidden size.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recbole_apa.core.errors import RunError
from recbole_apa.core.files.plain import read_plain
from recbole_apa.core.files.tensors import Expected, check_tensors, parse_tensors
from recbole_apa.core.files.whole import json_of, write_bytes, write_json
from recbole_apa.next_item.counts import Counts, Fusion, ItemCounts, TransitionCounts
from recbole_apa.next_item.generation import ItemCodes
from recbole_apa.next_item.heads import Heads, HeadSums, StateGrid
from recbole_apa.next_item.run.title_files import with_titles, write_titles
from recbole_apa.next_item.settings import NextItemSettings
from recbole_apa.next_item.state import Learnt, NextItemState, SplitStates

GRID, ROWS, COUNTS = "grid.safetensors", "rows.safetensors", "counts.safetensors"
CODES = "codes.safetensors"
PARTITION, LINEAGE, CHOSEN, FIGURES = "partition.json", "lineage.json", "chosen.json", "metrics.json"
_WHOLE = ("int64",)
_HEAD = {
    "gram": Expected(("width", "width"), _WHOLE),
    "cross": Expected(("items", "width"), _WHOLE),
    "n_rows": Expected(("one",), _WHOLE),
    "head": Expected(("items", "width"), ("float64",)),
}
_COUNTS = {
    "together": Expected(("items", "items"), _WHOLE),
    "followed": Expected(("items", "items"), _WHOLE),
    "n_users": Expected(("one",), _WHOLE),
}
_TRANSITIONS = {
    "pairs": Expected(("pairs",), _WHOLE),
    "weights": Expected(("pairs",), _WHOLE),
    "n_users": Expected(("one",), _WHOLE),
}
_ROWS = {
    "valid": Expected(("valid", "width"), ("int16",)),
    "test": Expected(("test", "width"), ("int16",)),
    "errors": Expected(("valid", "shards"), ("float64",)),
}
_CODES = {"codes": Expected(("items", "levels"), _WHOLE)}
_GRID = {"centre": Expected(("d",), ("float64",)), "scale": Expected(("d",), ("float64",))}


def head_name(shard: int) -> str:
    """``heads/003.safetensors``: a shard's sums, and the head solved from them."""
    return f"heads/{shard:03d}.safetensors"


def write_state(folder: Path, state: NextItemState, figures: Mapping[str, object]) -> None:
    """Write every file of a state.

    Raises:
        RunError: a file cannot be written.
    """
    learnt = state.learnt
    for k, sums in enumerate(learnt.sums):
        tensors = {"gram": sums.gram, "cross": sums.cross, "n_rows": _one(sums.n_rows), "head": state.heads.weights[k]}
        _write(folder / head_name(k), tensors)
    _write(folder / GRID, {"centre": state.grid.centre, "scale": state.grid.scale})
    _write(folder / ROWS, {"valid": learnt.valid.states, "test": learnt.test.states, "errors": state.errors})
    if learnt.counts is not None:
        _write(folder / COUNTS, _parts_of(learnt.counts))
    if state.codes is not None:
        _write(folder / CODES, {"codes": state.codes.numbers})
    titles = write_titles(folder, learnt)
    write_json(folder / PARTITION, dict(learnt.shard_of))
    lineage = {user: list(told) for user, told in learnt.lineage.items()}
    told: dict[str, object] = {"users": lineage, "valid": learnt.valid.users, "test": learnt.test.users}
    write_json(folder / LINEAGE, {**told, **titles})
    fusion = None if state.fusion is None else asdict(state.fusion)
    write_json(folder / CHOSEN, {"tau": state.tau, "n_neighbors": state.n_neighbors, "fusion": fusion})
    write_json(folder / FIGURES, figures)


def read_state(folder: Path, settings: NextItemSettings, ends: Mapping[int, int]) -> NextItemState:
    """Read what :func:`write_state` wrote.

    Args:
        settings: of the run.
        ends: as :attr:`~recbole_apa.next_item.state.Learnt.ends`, of the manifest.

    Raises:
        RunError: a file is missing or damaged, or files do not fit together; or there is an adapter or a draft that
            the run is not to have.
    """
    n_shards = settings.n_shards
    heads = [_read(folder / head_name(k), _HEAD) for k in range(n_shards)]
    rows, grid = _read(folder / ROWS, _ROWS), _read(folder / GRID, _GRID)
    lineage, chosen, partition = (_json(folder / name) for name in (LINEAGE, CHOSEN, PARTITION))
    try:
        learnt = Learnt(
            {str(user): int(shard) for user, shard in partition.items()},
            tuple(HeadSums(h["gram"], h["cross"], int(h["n_rows"])) for h in heads),
            _counts(folder, settings, len(heads[0]["head"])),
            SplitStates(tuple(lineage["valid"]), rows["valid"]),
            SplitStates(tuple(lineage["test"]), rows["test"]),
            {user: (told[0], told[1]) for user, told in lineage["users"].items()},
        )
        learnt = with_titles(learnt, folder, settings, lineage, ends)
        state = NextItemState(
            StateGrid(grid["centre"], grid["scale"]),
            learnt,
            Heads(torch.stack([h["head"] for h in heads])),
            rows["errors"],
            float(chosen["tau"]),
            int(chosen["n_neighbors"]),
            None if chosen["fusion"] is None else _fusion(chosen["fusion"], settings),
            _codes(folder, settings),
        )
    except RunError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}") from None
    _check_sizes(folder, state, settings)
    return state


def _check_sizes(folder: Path, state: NextItemState, settings: NextItemSettings) -> None:
    learnt, n_shards, width = state.learnt, settings.n_shards, state.heads.weights.shape[2]
    models = [draft.tensors for draft in learnt.drafts if draft is not None and draft.exit_map is None]
    fits = (
        len(learnt.valid.users) == len(learnt.valid.states)
        and len(learnt.test.users) == len(learnt.test.states)
        and all(0 <= shard < n_shards for shard in learnt.shard_of.values())
        and state.errors.shape[1] == n_shards
        and {learnt.valid.states.shape[1], learnt.test.states.shape[1], len(state.grid.centre) + 1} == {width}
        and (learnt.counts is None) == (state.fusion is None)
        and (learnt.counts is None or learnt.counts.n_items == state.heads.weights.shape[1])
        and (state.codes is None or len(state.codes.numbers) == state.heads.weights.shape[1])
        and all(len(tensors["items"]) == state.heads.weights.shape[1] for tensors in models)
        and all(len(tensors["places"]) == settings.history_length for tensors in models)
    )
    if not fits:
        raise _damaged(folder, "its files do not fit together")


def read_figures(folder: Path) -> dict[str, dict[str, float]]:
    """The figures that :func:`write_state` wrote.

    Raises:
        RunError: missing or damaged.
    """
    found = _json(folder / FIGURES)
    try:
        return {str(row): {str(n): float(v) for n, v in told.items()} for row, told in found.items()}
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(folder, f"{type(error).__name__}: {error}") from None


def _codes(folder: Path, settings: NextItemSettings) -> ItemCodes | None:
    if settings.adapters != "codes":
        return None
    numbers = _read(folder / CODES, _CODES)["codes"]
    n_levels, size = settings.code_levels, settings.code_size
    if numbers.shape[1] != n_levels or bool(((numbers < 0) | (numbers >= size)).any()):
        raise ValueError(f"codes, expected {n_levels} levels of numbers from 0 to {size - 1}")
    return ItemCodes(numbers, size)


def _damaged(folder: Path, why: str) -> RunError:
    return RunError(f"{folder} is damaged ({why[:200]}); restore the run folder from a copy")


def _parts_of(counts: Counts) -> dict[str, Tensor]:
    if isinstance(counts, ItemCounts):
        parts = {"together": counts.together, "followed": counts.followed}
    else:
        parts = {"pairs": counts.pairs, "weights": counts.weights}
    return {**parts, "n_users": _one(counts.n_users)}


def _counts(folder: Path, settings: NextItemSettings, n_items: int) -> Counts | None:
    if settings.evidence == "none":
        return None
    if settings.evidence == "counts":
        found = _read(folder / COUNTS, _COUNTS)
        return ItemCounts(found["together"], found["followed"], int(found["n_users"]))
    found = _read(folder / COUNTS, _TRANSITIONS)
    pairs = found["pairs"]
    if len(pairs) and (bool((pairs[1:] <= pairs[:-1]).any()) or int(pairs[0]) < 0 or int(pairs[-1]) >= n_items**2):
        raise ValueError("pairs of items that the catalogue does not have, or not ascending")
    return TransitionCounts(pairs, found["weights"], n_items, int(found["n_users"]))


def _fusion(told: Mapping[str, Any], settings: NextItemSettings) -> Fusion:
    scales, coefficients = (tuple(map(float, told[name])) for name in ("scales", "coefficients"))
    n_terms = 3 if settings.evidence == "counts" else 2
    if not len(scales) == len(coefficients) == n_terms:
        raise ValueError(f"{len(scales)} scales and {len(coefficients)} coefficients, expected {n_terms}")
    return Fusion(scales, coefficients, float(told["log_loss"]))


def _one(number: int) -> Tensor:
    return torch.tensor([number], dtype=torch.int64)


def _write(path: Path, tensors: Mapping[str, Tensor]) -> None:
    from safetensors.torch import save

    write_bytes(path, save({name: tensor.contiguous() for name, tensor in tensors.items()}))


def _read(path: Path, expected: Mapping[str, Expected]) -> dict[str, Tensor]:
    tensors = parse_tensors(read_plain(path), path)
    check_tensors(tensors, expected, path)
    return tensors


def _json(path: Path) -> Any:
    return json_of(read_plain(path), path)
