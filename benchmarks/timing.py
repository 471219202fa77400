"""Times as ratios: contenders repeatedly run in turn, and each repetition gives one ratio to the reference."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.no_time import NO_TIME
from recbole_apa.core.seeding import hash_order

Clock = Callable[[], float]
"""Seconds."""


@dataclass(frozen=True)
class Contender:
    """Something that is timed."""

    run: Callable[[], object]
    n_samples: int
    """How many samples one call serves."""
    stands_for: float = 1.0
    """The share of the work that the call does (e.g. 4 of 16 passes: 0.25); its time is divided by it."""


def seconds_per_sample(
    contenders: Mapping[str, Contender],
    repetitions: int,
    device: str,
    warm_up: bool = True,
    clock: Clock | None = None,
) -> dict[str, list[float]]:
    """Seconds per sample by contender and repetition; the order changes from one repetition to the next.

    Args:
        warm_up: run each once before the clock starts.
        clock: ``time.process_time`` counts what this process computed, whatever else the machine does; None is
            ``time.perf_counter``.
    """
    names = list(contenders)
    for contender in contenders.values() if warm_up else ():
        contender.run()
    out: dict[str, list[float]] = {name: [] for name in names}
    for repetition in range(repetitions):
        for i in hash_order(names, repetition):
            contender = contenders[names[i]]
            out[names[i]].append(_seconds(contender, device, clock) / contender.n_samples / contender.stands_for)
    return out


def _seconds(contender: Contender, device: str, clock: Clock | None = None) -> float:
    clock = clock or time.perf_counter
    _wait(device)
    start = clock()
    contender.run()
    _wait(device)
    return clock() - start


def seconds_until(
    contenders: Mapping[str, Contender], repetitions: int, device: str, deadline: float
) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Like :func:`seconds_per_sample`, but with a deadline; also returns why contenders are missing.

    Each runs twice before the clock starts, the second time to see how long it takes. One that fails is left out, and
    so are the slowest, until the others have time for two repetitions. More repetitions follow while there is time for
    all.

    Args:
        contenders: the first is the reference, and is never left out for time.
        deadline: of ``time.perf_counter``.
    """
    cost: dict[str, float] = {}
    missing: dict[str, str] = {}
    for name, contender in contenders.items():
        if cost and time.perf_counter() >= deadline:
            missing[name] = NO_TIME
            continue
        try:
            first = _seconds(contender, device)
            slow = cost and time.perf_counter() + first > deadline
            cost[name] = first if slow else _seconds(contender, device)
        except Exception as error:
            missing[name] = f"failed: {type(error).__name__}: {str(error).strip()[:200]}"
            if device.startswith("cuda"):
                torch.cuda.empty_cache()
    while len(cost) > 1 and time.perf_counter() + 2 * sum(cost.values()) > deadline:
        slowest = max([n for n in cost if n != next(iter(contenders))], key=lambda n: cost[n])
        del cost[slowest]
        missing[slowest] = NO_TIME
    out: dict[str, list[float]] = {name: [] for name in cost}
    kept = {name: contenders[name] for name in cost}
    for repetition in range(repetitions):
        if repetition > 1 and time.perf_counter() + sum(cost.values()) > deadline:
            break
        for i in hash_order(list(kept), repetition):
            name = list(kept)[i]
            out[name].append(_seconds(kept[name], device) / kept[name].n_samples / kept[name].stands_for)
    return out, missing


def ratios(seconds: Mapping[str, list[float]], reference: str) -> dict[str, dict[str, float]]:
    """Ratios of each contender to the reference, paired by repetition: median, least, largest; and median seconds."""
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
