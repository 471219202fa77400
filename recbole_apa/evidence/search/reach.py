"""Descriptions of where the sought rows can still be reached."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from recbole_apa.evidence.search.contracts import Part, Rows, Target, Told
from recbole_apa.evidence.search.raw_rows import RawRows
from recbole_apa.evidence.search.sought import Sought, count

SPLITS = ("train", "valid", "test")


def in_data(parts: Sequence[Part], sought: Sought) -> list[str]:
    """Search what a run learns from: rows before and after filtering, statistics, targets, histories, RecBole's tables.

    Args:
        parts: the datasets for training, validation and test; each has its table, and the first has everything else.
    """
    dataset = parts[0]
    out = []
    added = dataset.run_data.added_at
    left = None if added is None else added[dataset.run_data.kept]
    sides = {
        "rows of the data": (dataset.raw_interactions, added),
        "rows after the filters": (dataset.interactions, left),
    }
    for where, (rows, positions) in sides.items():
        n = n_rows(rows, sought, positions)
        out += [f"{n} {where}"] if n else []
    for split in SPLITS:
        samples = dataset.splits[split]
        n_targets = sum(_is_sought(s.user_id, s.item_id, s.sample_id, sought) for s in samples)
        n_shown = sum(_is_sought(s.user_id, e.item_id, e.interaction_id, sought) for s in samples for e in s.history)
        if n_targets or n_shown:
            out.append(f"{n_targets} targets and {n_shown} history entries of the {split} samples")
    n = _n_told(dataset.train_rows, dataset.interactions, sought)
    out += [f"{n} rows of the training statistics"] if n else []
    return out + [found for part in parts for found in _in_table(part, sought)]


def in_state(
    shard_of: Iterable[str], lineage: Mapping[str, Iterable[str]], n_told: Mapping[str, int], sought: Sought
) -> list[str]:
    """Search what a trained state records as seen.

    Args:
        shard_of: the ids of the samples assigned to a shard.
        lineage: artefact -> the ids of the samples it saw.
        n_told: the number of rows of artefacts with one row per sample.
    """
    out = []
    for name, ids in {"partition.json": shard_of, **lineage}.items():
        n = sum(map(sought.has_id, ids))
        out += [f"{n} samples in {name}"] if n else []
    for name, n in n_told.items():
        told = len(list(lineage[name]))
        out += [f"{n} rows in {name} for {told} samples"] if n != told else []
    return out


def in_index(raw: RawRows, sought: Sought) -> list[str]:
    """Search a run's index.

    Args:
        raw: every row of it.
    """
    n_names = len(sought.users.intersection(raw.user_names)) + len(sought.items.intersection(raw.item_names))
    found = {"forgotten interactions": count(raw, sought), "forgotten names": n_names}
    return [f"{n} {what} in index/" for what, n in found.items() if n]


def in_exports(folders: Iterable[Path], splits: Mapping[str, Sequence[Target]], sought: Sought) -> list[str]:
    """Search exports for lines with a sought row, or with a history that differs from the sample's present one.

    Args:
        splits: the present samples.
    """
    now = {s.sample_id: [[e.item_id, e.label] for e in s.history] for samples in splits.values() for s in samples}
    out = []
    for path in (Path(folder) / f"{split}.jsonl" for folder in folders for split in SPLITS):
        if path.is_file():
            n = sum(_is_wrong(line, now, sought) for line in path.read_bytes().splitlines())
            out += [f"{n} lines of {path}"] if n else []
    return out


def _is_wrong(line: bytes, now: Mapping[str, object], sought: Sought) -> bool:
    """Whether a line of an export shows a sought row, or does not match a present sample."""
    try:
        told = json.loads(line)
        name, shown = told["sample_id"], [[item, label] for item, _, label in told["history"]]
        return sought.has_id(name) or shown != now.get(name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True


def _is_sought(user: str, item: str, interaction_id: str, sought: Sought) -> bool:
    return user in sought.users or item in sought.items or sought.has_id(interaction_id)


def n_rows(rows: Rows, sought: Sought, added: np.ndarray | None = None) -> int:
    """How many rows of the data are sought.

    Args:
        added: position in the ledger of the addition that brought each row, (n,), 0 for rows of the files; None if all
            are.
    """
    if not len(rows):
        return 0
    users = np.array([name in sought.users for name in rows.users.names], dtype=bool)
    items = np.array([name in sought.items for name in rows.items.names], dtype=bool)
    some = np.array([name in sought.some for name in rows.users.names], dtype=bool)
    whole = users[rows.users.codes] | items[rows.items.codes]
    single = np.flatnonzero(~whole & some[rows.users.codes])
    return int(whole.sum()) + sum(
        sought.has_row(
            rows.users[r],
            rows.items[r],
            None if rows.times is None else float(rows.times[r]),
            0 if added is None else int(added[r]),
        )
        for r in single.tolist()
    )


def _n_told(told: Told, rows: Rows, sought: Sought) -> int:
    """How many items and labels of training rows have no visible row to account for them."""
    place = {name: i for i, name in enumerate(rows.items.names)}
    where = np.array([place.get(name, -1) for name in told.items.names], dtype=np.int64)
    gone = np.array([name in sought.items for name in told.items.names], dtype=bool)
    if not len(told):
        return 0
    numbers, size = where[told.items.codes], 2 * len(rows.items.names)
    known = numbers >= 0
    left = np.bincount(2 * rows.items.codes.astype(np.int64) + rows.labels, minlength=size)
    said = np.bincount(2 * numbers[known] + told.labels[known], minlength=size)
    return int((~known).sum() + np.maximum(said - left, 0).sum() + gone[told.items.codes].sum())


def _in_table(dataset: Part, sought: Sought) -> Iterator[str]:
    """Search RecBole's internal ids of users and items in a part's table and its histories."""
    sides = ((dataset.uid_field, sought.users), (dataset.iid_field, sought.items))
    found = {field: {dataset.field2token_id[field].get(n) for n in names} for field, names in sides}
    numbers = {field: [n for n in some if n is not None] for field, some in found.items()}
    table = dataset.inter_feat
    for field in table.interaction if hasattr(table, "interaction") else ():
        wanted = numbers.get(field.removesuffix("_list"))
        n = int(np.isin(table[field].numpy(), wanted).sum()) if wanted else 0
        if n:
            yield f"{n} entries of RecBole's column {field}"
