"""Draw the targets with the lowest SHA-256 of the sample id, streaming the ids; pure numpy."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np

from recbole_apa.core.seeding import NONE_DRAWN, cutoff_between, draw_hash, draw_names
from recbole_apa.data.samples import CHUNK, Interactions


def draw_rows(
    rows: Interactions, eligible: np.ndarray, size: int | None, seed: int | None = None
) -> tuple[np.ndarray, str | None]:
    """Draw ``size`` of the eligible rows by hash of sample id, as :func:`~recbole_apa.core.seeding.draw_cutoff` does.

    Args:
        eligible: row numbers.
        size: None draws all.
        seed: as in :func:`~recbole_apa.core.seeding.draw_hash`.

    Returns:
        the drawn rows, in the order they came in, and the cutoff.
    """
    if size == 0:
        return eligible[:0], NONE_DRAWN
    if size is None or size >= len(eligible):
        return eligible, None
    # the first eight bytes may tie: the full hashes of the few remaining rows decide
    near = _nearest(rows, eligible, size, seed)
    hashes = [draw_hash(name, seed) for _, ids in rows.id_chunks(near) for name in ids]
    cutoff = cutoff_between(*sorted(hashes)[size - 1 : size + 1])
    return near[np.array([found <= cutoff for found in hashes], dtype=bool)], cutoff


def below(rows: Interactions, eligible: np.ndarray, cutoff: str | None, seed: int | None = None) -> np.ndarray:
    """The eligible rows that a draw with this cutoff takes, in the order they came in; None takes all."""
    if cutoff is None:
        return eligible
    taken = [draw_hash(name, seed) <= cutoff for _, ids in rows.id_chunks(eligible) for name in ids]
    return eligible[np.array(taken, dtype=bool)]


def further_rows(rows: Interactions, of_split: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Rows of a split that are no samples, of users who have one.

    Args:
        of_split: row numbers, (n,).
        samples: row numbers of the samples, (s,).
    """
    has_sample = np.zeros(len(rows.users.names), dtype=bool)
    has_sample[rows.users.codes[samples]] = True
    return np.setdiff1d(of_split[has_sample[rows.users.codes[of_split]]], samples)


def _nearest(rows: Interactions, eligible: np.ndarray, size: int, seed: int | None) -> np.ndarray:
    """The rows that may be drawn, in the order they came in: those whose hash begins no higher than that of the first
    row that is not drawn. There are more than ``size`` eligible rows."""
    near, heads = eligible[:0], np.zeros(0, dtype=np.uint64)
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    for part, ids in rows.id_chunks(eligible):
        waiting.append((part, _heads(ids, seed)))
        if sum(len(part) for part, _ in waiting) > max(size, CHUNK):
            near, heads = _lowest(near, heads, waiting, size)
            waiting = []
    return _lowest(near, heads, waiting, size)[0]


def _lowest(
    near: np.ndarray, heads: np.ndarray, more: Sequence[tuple[np.ndarray, np.ndarray]], size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rows with their hashes' beginnings, those of ``more`` after the others, as far as they are no higher than the
    lowest but ``size``."""
    near, heads = (np.concatenate(columns) for columns in zip((near, heads), *more, strict=True))
    if len(heads) <= size:
        return near, heads
    stays = heads <= np.partition(heads, size)[size]
    return near[stays], heads[stays]


def _heads(ids: Iterable[str], seed: int | None = None) -> np.ndarray:
    """The first eight bytes of each id's hash, (n,), uint64."""
    sha256 = hashlib.sha256
    # the bytes that digest_of hashes before the id
    begin = b"".join(len(t).to_bytes(8, "big") + t for t in (str(name).encode() for name in draw_names(seed)))
    texts = (name.encode() for name in ids)
    joined = b"".join([sha256(begin + len(t).to_bytes(8, "big") + t).digest()[:8] for t in texts])
    return np.frombuffer(joined, dtype=">u8").astype(np.uint64)
