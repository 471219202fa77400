"""How many shards? What a stream of requests costs, from measured step times and an exact model of batching.

The model: a request affects m samples, each in one of K shards, all equally likely; it hits K (1 - (1 - 1/K)^m) shards
on average. Requests arrive at random (Poisson), L per interval on average; served together at its end they hit
K (1 - exp(-L (1 - (1 - 1/K)^m))) shards, each of which is trained once.
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recbole_apa.unlearning.capacity_disk import Disk, DiskCosts, disk_of

DAY = 86_400.0


@dataclass(frozen=True)
class StepCosts:
    """How long one worker takes, and how much is stored."""

    seconds_per_sample: float
    """Training on one sample, all epochs, including its frozen pass."""
    seconds_per_score: float
    """One validation sample under one adapter."""
    n_valid: int
    """Validation samples in the memory, each of which a retrained adapter scores again."""
    adapter_bytes: int
    """In RAM, as ``backbone_bytes``."""
    backbone_bytes: int
    disk: DiskCosts


@dataclass(frozen=True)
class Stream:
    """Requests to forget."""

    requests_per_day: float
    n_samples: int
    """N, training samples."""
    samples_per_request: int
    """m: an interaction is a target once, and appears in later histories of its user."""
    workers: int = 1
    interval: float = 3600.0
    """Seconds for which requests are collected when they are served together."""
    n_interactions: float | None = None
    """Of the dataset, for the index; None for as many as training samples, the least there can be."""


@dataclass(frozen=True)
class Capacity:
    """One line of the plan."""

    n_shards: int
    shard_size: int
    shard_seconds: float
    """Retraining a shard, and scoring the memory with it."""
    hours_at_once: float
    """Workers' hours per day, each request served by itself; more than the workers have if work piles up."""
    hours_batched: float
    """The same, served together at the end of each interval; no more than the workers have."""
    p95_at_once: float
    """95th percentile of the seconds from a request to its certificate; infinite if work piles up."""
    p95_batched: float
    break_even: float
    """Requests per day from which batching serves sooner; infinite if it never does."""
    disk: Disk
    serving_bytes: int
    """RAM: backbone, adapters and collaborative statistics."""


def shards_hit(n_shards: int, n_affected: float) -> float:
    """Expected number of shards that hold at least one of the affected samples: K (1 - (1 - 1/K)^m)."""
    return n_shards * -math.expm1(n_affected * math.log1p(-1 / n_shards)) if n_shards > 1 else min(1.0, n_affected)


def shards_hit_by_batch(n_shards: int, n_affected: int, mean_requests: float) -> float:
    """The same for a number of requests drawn from a Poisson distribution."""
    return n_shards * -math.expm1(-mean_requests * shards_hit(n_shards, n_affected) / n_shards)


def plan(stream: Stream, costs: StepCosts, shard_sizes: Sequence[int], seed: int = 0) -> list[Capacity]:
    """One line for each shard size."""
    return [_line(stream, costs, size, seed) for size in sorted(set(shard_sizes), reverse=True)]


def waiting_times(
    stream: Stream, n_shards: int, shard_seconds: float, batched: bool, seed: int = 0, n_requests: int = 2000
) -> tuple[np.ndarray, float]:
    """Simulate a stream.

    Returns:
        seconds from each request to its certificate, (n_requests,), and the shards trained per request.
    """
    generator = np.random.default_rng(seed)
    arrivals = np.cumsum(generator.exponential(DAY / stream.requests_per_day, n_requests))
    drawn = generator.integers(n_shards, size=(n_requests, stream.samples_per_request))
    serve = _serve_together if batched else _serve_at_once
    done, n_trained = serve(arrivals, [set(row) for row in drawn.tolist()], stream, shard_seconds)
    return done - arrivals, n_trained / n_requests


def _serve_at_once(
    arrivals: np.ndarray, hit: Sequence[set[int]], stream: Stream, seconds: float
) -> tuple[np.ndarray, int]:
    """Each request's shards go, in order of arrival, to the workers that are free first."""
    free = [0.0] * stream.workers
    done, n_trained = np.empty(len(arrivals)), 0
    for i, (arrival, shards) in enumerate(zip(arrivals, hit, strict=True)):
        ends = []
        for _ in shards:
            ends.append(max(free[0], arrival) + seconds)
            heapq.heapreplace(free, ends[-1])
        done[i] = max(ends)
        n_trained += len(shards)
    return done, n_trained


def _serve_together(
    arrivals: np.ndarray, hit: Sequence[set[int]], stream: Stream, seconds: float
) -> tuple[np.ndarray, int]:
    """Serve all requests waiting when an interval ends; if workers are busy then, the batch waits and grows."""
    done, n_trained, first, free = np.empty(len(arrivals)), 0, 0, 0.0
    while first < len(arrivals):
        begin = max((math.floor(arrivals[first] / stream.interval) + 1) * stream.interval, free)
        last = int(np.searchsorted(arrivals, begin, side="right"))
        n_shards = len(set().union(*hit[first:last]))
        free = begin + math.ceil(n_shards / stream.workers) * seconds
        done[first:last] = free
        n_trained += n_shards
        first = last
    return done, n_trained


def _line(stream: Stream, costs: StepCosts, size: int, seed: int) -> Capacity:
    n_shards = math.ceil(stream.n_samples / size)
    n_rows = round(stream.n_interactions or stream.n_samples)
    seconds = size * costs.seconds_per_sample + costs.n_valid * costs.seconds_per_score
    per_interval = stream.requests_per_day * stream.interval / DAY
    disk = disk_of(costs.disk, n_shards, stream.n_samples, costs.n_valid, n_rows)
    at_once = stream.requests_per_day * shards_hit(n_shards, stream.samples_per_request)
    batched = DAY / stream.interval * shards_hit_by_batch(n_shards, stream.samples_per_request, per_interval)
    return Capacity(
        n_shards=n_shards,
        shard_size=size,
        shard_seconds=seconds,
        hours_at_once=at_once * seconds / 3600,
        hours_batched=min(batched * seconds / 3600, 24.0 * stream.workers),
        p95_at_once=_p95(stream, n_shards, seconds, False, seed),
        p95_batched=_p95(stream, n_shards, seconds, True, seed),
        break_even=_break_even(stream, n_shards, seconds, seed),
        disk=disk,
        serving_bytes=costs.backbone_bytes + n_shards * costs.adapter_bytes + disk.statistics,
    )


def _p95(stream: Stream, n_shards: int, seconds: float, batched: bool, seed: int) -> float:
    """Infinite if single requests bring more work than the workers can do; a batch grows to all shards at most."""
    hit = shards_hit(n_shards, stream.samples_per_request)
    if not batched and stream.requests_per_day / DAY * hit * seconds >= stream.workers:
        return math.inf
    return float(np.quantile(waiting_times(stream, n_shards, seconds, batched, seed)[0], 0.95))


def _break_even(stream: Stream, n_shards: int, seconds: float, seed: int) -> float:
    """In steps of a quarter of an octave, from one request per day to a million."""
    for rate in 2.0 ** np.arange(0, 20.25, 0.25):
        asked = Stream(float(rate), stream.n_samples, stream.samples_per_request, stream.workers, stream.interval)
        at_once, batched = (_p95(asked, n_shards, seconds, together, seed) for together in (False, True))
        if batched < at_once:
            return float(rate)
    return math.inf
