"""How many shards? What a stream of requests costs, from measured step times and an exact model of batching.

The model: a request affects m samples, each in one of K shards, all equally likely; it hits K (1 - (1 - 1/K)^m) shards
on average. Requests arrive at random (Poisson), L per interval on average; served together at its end they hit
K (1 - exp(-L (1 - (1 - 1/K)^m))) shards, each of which is trained once; in part, if shards are cut into slices
(:mod:`recbole_apa.unlearning.capacity_slices`).
"""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recbole_apa.unlearning.capacity_disk import Disk, DiskCosts, disk_of
from recbole_apa.unlearning.capacity_slices import makespan, share_of_batch, share_of_one, shares_of

DAY = 86_400.0
OF_AN_INTERACTION = 11
"""Samples that show one: a target and ten histories."""


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
    n_slices: int = 1
    """L, slices of each shard."""


@dataclass(frozen=True)
class Stream:
    """Requests to forget."""

    requests_per_day: float
    n_samples: int
    """N, training samples."""
    samples_per_request: int | None = None
    """m: an interaction is a target once, and appears in later histories of its user. None: as many as reach one shard
    if shards are of whole users, else those of an interaction; see :meth:`reaching`."""
    workers: int = 1
    interval: float = 3600.0
    """Seconds for which requests are collected when they are served together."""
    n_interactions: float | None = None
    """Of the dataset, for the index; None for as many as training samples, the least there can be."""

    def reaching(self, keeps_users_whole: bool) -> "Stream":
        """The stream with its samples of a request, given how shards are made."""
        usual = 1 if keeps_users_whole else OF_AN_INTERACTION
        return replace(self, samples_per_request=self.samples_per_request or usual)

    @property
    def m(self) -> int:
        """Samples of a request; each is in a shard of its own, with equal probability."""
        return self.samples_per_request or OF_AN_INTERACTION


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
    seconds_of_prefix: float
    """From a request with ``--at_once`` to its certificate: scoring the memory with the shards that it reaches."""
    hours_caught_up: float
    """Workers' hours per day if all requests are made at once, and caught up with each night."""
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


@dataclass(frozen=True)
class ShardWork:
    """What shards take."""

    n_shards: int
    train: float
    """Seconds for all of one."""
    score: float = 0.0
    """Seconds besides, however much of it is trained."""
    n_slices: int = 1
    """Of each shard."""


def waiting_times(
    stream: Stream, work: ShardWork, batched: bool, seed: int = 0, n_requests: int = 2000
) -> tuple[np.ndarray, float]:
    """Simulate a stream.

    Returns:
        seconds from each request to its certificate, (n_requests,), and the shards trained per request, each counted by
        the share that is trained.
    """
    generator = np.random.default_rng(seed)
    arrivals = np.cumsum(generator.exponential(DAY / stream.requests_per_day, n_requests))
    drawn = generator.integers(work.n_shards, size=(n_requests, stream.m))
    n, shares = work.n_slices, np.ones(n_requests)
    if n > 1:
        shares = generator.integers(1, n + 1, size=n_requests) / n
    hit, seconds = [set(row) for row in drawn.tolist()], (work.train, work.score)
    serve = _serve_together if batched else _serve_at_once
    done, n_trained = serve(arrivals, hit, shares.tolist(), stream, seconds)
    return done - arrivals, n_trained / n_requests


def _serve_at_once(
    arrivals: np.ndarray, hit: Sequence[set[int]], shares: Sequence[float], stream: Stream, seconds: tuple[float, float]
) -> tuple[np.ndarray, float]:
    """Each request's shards go, in order of arrival, to the workers that are free first."""
    (train, score), free = seconds, [0.0] * stream.workers
    done, n_trained = np.empty(len(arrivals)), 0.0
    for i, (arrival, shards) in enumerate(zip(arrivals, hit, strict=True)):
        ends = []
        for _ in shards:
            ends.append(max(free[0], arrival) + (shares[i] * train + score))
            heapq.heapreplace(free, ends[-1])
        done[i] = max(ends)
        n_trained += shares[i] * len(shards)
    return done, n_trained


def _serve_together(
    arrivals: np.ndarray, hit: Sequence[set[int]], shares: Sequence[float], stream: Stream, seconds: tuple[float, float]
) -> tuple[np.ndarray, float]:
    """Serve all requests waiting when an interval ends; if workers are busy then, the batch waits and grows."""
    (train, score), first, free = seconds, 0, 0.0
    done, n_trained = np.empty(len(arrivals)), 0.0
    while first < len(arrivals):
        begin = max((math.floor(arrivals[first] / stream.interval) + 1) * stream.interval, free)
        last = int(np.searchsorted(arrivals, begin, side="right"))
        redone = shares_of(hit[first:last], shares[first:last]).values()
        free = begin + makespan((share * train + score for share in redone), stream.workers)
        done[first:last] = free
        n_trained += sum(redone)
        first = last
    return done, n_trained


def _line(stream: Stream, costs: StepCosts, size: int, seed: int) -> Capacity:
    n_shards = math.ceil(stream.n_samples / size)
    n_rows = round(stream.n_interactions or stream.n_samples)
    train, score = size * costs.seconds_per_sample, costs.n_valid * costs.seconds_per_score
    work = ShardWork(n_shards, train, score, costs.n_slices)
    hit, mean = shards_hit(n_shards, stream.m), share_of_one(costs.n_slices)
    disk = disk_of(costs.disk, n_shards, stream.n_samples, costs.n_valid, n_rows)
    return Capacity(
        n_shards=n_shards,
        shard_size=size,
        shard_seconds=train + score,
        hours_at_once=stream.requests_per_day * hit * (mean * train + score) / 3600,
        hours_batched=_hours_batched(stream, work, stream.interval),
        p95_at_once=_p95(stream, work, False, seed),
        p95_batched=_p95(stream, work, True, seed),
        seconds_of_prefix=hit * score,
        hours_caught_up=_hours_batched(stream, work, DAY),
        break_even=_break_even(stream, work, seed),
        disk=disk,
        serving_bytes=costs.backbone_bytes + n_shards * costs.adapter_bytes + disk.statistics,
    )


def _hours_batched(stream: Stream, work: ShardWork, interval: float) -> float:
    """Workers' hours per day if requests are served together at the end of each interval; no more than they have."""
    per_interval = stream.requests_per_day * interval / DAY
    of_shard = per_interval * shards_hit(work.n_shards, stream.m) / work.n_shards
    hit = shards_hit_by_batch(work.n_shards, stream.m, per_interval)
    seconds = work.n_shards * share_of_batch(work.n_slices, of_shard) * work.train + hit * work.score
    return min(DAY / interval * seconds / 3600, 24.0 * stream.workers)


def _p95(stream: Stream, work: ShardWork, batched: bool, seed: int) -> float:
    """Infinite if single requests bring more work than the workers can do; a batch grows to all shards at most."""
    seconds = share_of_one(work.n_slices) * work.train + work.score
    hit = shards_hit(work.n_shards, stream.m)
    if not batched and stream.requests_per_day / DAY * hit * seconds >= stream.workers:
        return math.inf
    waits, _ = waiting_times(stream, work, batched, seed)
    return float(np.quantile(waits, 0.95))


def _break_even(stream: Stream, work: ShardWork, seed: int) -> float:
    """In steps of a quarter of an octave, from one request per day to a million."""
    for rate in 2.0 ** np.arange(0, 20.25, 0.25):
        asked = replace(stream, requests_per_day=float(rate), n_interactions=None)
        at_once, batched = (_p95(asked, work, together, seed) for together in (False, True))
        if batched < at_once:
            return float(rate)
    return math.inf
