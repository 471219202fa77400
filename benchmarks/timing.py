"""Times as ratios: contenders run in turn, again and again, and each repetition gives one ratio to the reference."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from recbole_apa.seeding import hash_order


@dataclass(frozen=True)
class Contender:
    """Something that is timed."""

    run: Callable[[], object]
    n_samples: int
    """How many samples one call serves."""
    stands_for: float = 1.0
    """The call does this part of the work only (e.g. 4 of 16 passes: 0.25); its time is divided by it."""


def seconds_per_sample(
    contenders: Mapping[str, Contender], repetitions: int, device: str, warm_up: bool = True
) -> dict[str, list[float]]:
    """Seconds a sample by contender and repetition; the order changes from one repetition to the next.

    Args:
        warm_up: each runs once before the clock starts.
    """
    names = list(contenders)
    for contender in contenders.values() if warm_up else ():
        contender.run()
    out: dict[str, list[float]] = {name: [] for name in names}
    for repetition in range(repetitions):
        for i in hash_order(names, repetition):
            contender = contenders[names[i]]
            _wait(device)
            start = time.perf_counter()
            contender.run()
            _wait(device)
            taken = time.perf_counter() - start
            out[names[i]].append(taken / contender.n_samples / contender.stands_for)
    return out


def ratios(seconds: Mapping[str, list[float]], reference: str) -> dict[str, dict[str, float]]:
    """Of each contender to the reference, paired by repetition: median, least, largest; and the median seconds."""
    base = np.array(seconds[reference])
    return {
        name: {
            "ratio": float(np.median(np.array(values) / base)),
            "ratio_low": float((np.array(values) / base).min()),
            "ratio_high": float((np.array(values) / base).max()),
            "seconds_per_sample": float(np.median(values)),
        }
        for name, values in seconds.items()
    }


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
