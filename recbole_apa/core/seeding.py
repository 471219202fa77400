"""Seeds and orders that depend on names, never on positions (docs/how-it-works.md).

A removed sample must not reshuffle the others, so every random choice is a function of the run's seed
and of what the choice is about.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def digest_of(*names: object) -> bytes:
    """SHA-256 of the names, each prefixed with its length so that no two lists of names collide."""
    return digest_over(names)


def digest_over(names: Iterable[object]) -> bytes:
    """As :func:`digest_of`, for names that are generated one by one."""
    h = hashlib.sha256()
    for name in names:
        text = str(name).encode()
        h.update(len(text).to_bytes(8, "big") + text)
    return h.digest()


def derive_seed(seed: int, *names: object) -> int:
    """A 63-bit seed for one purpose, e.g. ``derive_seed(seed, "dropout", shard, step)``."""
    return int.from_bytes(digest_of(seed, *names)[:8], "big") >> 1


def generator_for(seed: int, *names: object) -> "torch.Generator":
    """A CPU generator seeded for one purpose; the global generators are not touched."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *names))


@contextmanager
def drawn_for(seed: int, *names: object) -> Iterator[None]:
    """Seed the global generators of all devices for one purpose, and restore them on exit.

    GPUs that this process has not used are left alone: reading their state would allocate memory on each.
    """
    import torch

    gpus: Iterable[int] | None = None  # torch finds any other devices itself
    if torch.cuda.is_available():
        gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(gpus):
        torch.manual_seed(derive_seed(seed, *names))
        yield


def hash_order(ids: Sequence[str], seed: int, *names: object) -> list[int]:
    """Positions of ``ids`` sorted by a hash of (seed, names, id).

    Removing an id does not change the relative order of the others.
    """
    return sorted(range(len(ids)), key=lambda i: (digest_of(seed, *names, ids[i]), ids[i]))


NONE_DRAWN = ""
"""The cutoff below which no id falls."""


def draw_cutoff(ids: Iterable[str], n: int | None, seed: int | None = None) -> str | None:
    """The hash at or below which an id is drawn, so that exactly ``n`` of ``ids`` are; ``None`` draws all, 0 none.

    The cutoff is stored with the run and identifies nobody (:func:`cutoff_between`). From then on, whether a row is
    drawn depends on its own hash alone, and forgetting a drawn row does not bring another row in.

    Args:
        seed: as in :func:`draw_hash`.
    """
    if n is None:
        return None
    if n == 0:
        return NONE_DRAWN
    hashes = sorted(draw_hash(name, seed) for name in ids)
    return None if n >= len(hashes) else cutoff_between(hashes[n - 1], hashes[n])


def cutoff_between(last: str, following: str) -> str:
    """A cutoff that draws the id with hash ``last`` but not the one with hash ``following``, and is nobody's hash: it
    keeps only as many digits of ``last`` as tell the two apart, so that nobody's id can be found by trial."""
    same = next((i for i, (a, b) in enumerate(zip(last, following, strict=True)) if a != b), len(last) - 1)
    return last[: same + 1] + "f" * (len(last) - same - 1)


def draw_hash(sample_id: str, seed: int | None = None) -> str:
    """The hash by which a sample id is drawn, SHA-256 in hex.

    Args:
        seed: of another draw; None is the draw that every run has by default.
    """
    return digest_of(*draw_names(seed), sample_id).hex()


def draw_names(seed: int | None) -> tuple[object, ...]:
    """What is hashed before the sample id: the seed is named only if there is one, so that the default draw is the same
    as before there were others."""
    return ("draw",) if seed is None else ("draw", seed)
