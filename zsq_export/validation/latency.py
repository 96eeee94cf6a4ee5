"""Latency of several models side by side: warmed up, rounds interleaved, an interval of the ratio."""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zsq_export.validation.figures import InputOrigin, Latency, LatencySeries, SpeedUp

Clock = Callable[[], float]
"""Seconds that never go back."""

_WINDOW = 5
_STABLE_WITHIN = 0.05
_ROUND_SECONDS = 0.002
"""A round of one candidate times so many inferences that it takes at least this long: far above the clock's grain."""
_MOST_INFERENCES = 100
_WARM_UP_SHARE = 0.25
_FEWEST_ROUNDS = 5
_ENOUGH_ROUNDS = 15
_PATIENCE = 3.0
"""Slow models may take this many times the time asked for, to reach ``_ENOUGH_ROUNDS``."""
_RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class LatencyOptions:
    """How latency is measured.

    Attributes:
        batch_size: samples per inference; None: the model's own if it is fixed, else 1.
        seconds: about how long all rounds together take.
        most_rounds: enough for a quick model.
        seed: of the bootstrap.
    """

    batch_size: int | None = None
    seconds: float = 6.0
    most_rounds: int = 500
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One model to time.

    Attributes:
        label: for people.
        precision: of a float model; None for the quantized one.
        call: does one inference and nothing else.
    """

    label: str
    precision: str | None
    call: Callable[[], None] = field(repr=False)


def measure_latency(
    candidates: Sequence[Candidate],
    options: LatencyOptions,
    *,
    batch_size: int,
    threads: int | None,
    inputs: InputOrigin,
    clock: Clock = time.perf_counter,
) -> Latency:
    """Times float candidates and the quantized one (the last) in interleaved rounds.

    One round times every candidate once, each round starting with another one, so that a slow moment of the machine
    hits all of them alike and cancels in the ratio of a round.

    Args:
        candidates: float ones first, f32 at the very first; the quantized one last.
        options: times and seed.
        batch_size: samples per inference of every candidate.
        threads: what the runtimes were told.
        inputs: real or synthetic.
        clock: replaced in tests.

    Returns:
        Medians with quartiles, and the speed-up against every float candidate.
    """
    with _without_garbage_collection():
        warmed_up, estimates = _warm_up(candidates, options.seconds * _WARM_UP_SHARE, clock)
        inferences = [_inferences(estimate) for estimate in estimates]
        times = _time_rounds(candidates, inferences, options, clock)
    series = [_series(*entry) for entry in zip(candidates, times, inferences, strict=True)]
    floats = series[:-1]
    return Latency(
        batch_size=batch_size,
        threads=threads,
        series=tuple(series),
        speedups=tuple(
            speed_up(own.label, baseline, times[-1], seed=options.seed)
            for own, baseline in zip(floats, times[:-1], strict=True)
        ),
        best_float=min(floats, key=lambda own: own.median_ms).label,
        warmed_up=warmed_up,
        inputs=inputs,
    )


def speed_up(label: str, baseline: NDArray[np.float64], quantized: NDArray[np.float64], *, seed: int = 0) -> SpeedUp:
    """Median ratio of paired rounds with its 95 % percentile-bootstrap interval (Efron & Tibshirani 1993, ch. 13).

    Args:
        label: of the baseline.
        baseline: seconds per inference, one per round.
        quantized: likewise, of the same rounds.
        seed: of the resampling.
    """
    ratios = baseline / quantized
    picks = np.random.default_rng(seed).integers(0, len(ratios), (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[picks], axis=1), (2.5, 97.5))
    return SpeedUp(baseline=label, ratio=float(np.median(ratios)), low=float(low), high=float(high))


def _warm_up(candidates: Sequence[Candidate], seconds: float, clock: Clock) -> tuple[bool, list[float]]:
    """Runs until the last times of every candidate equal those before them; gives the seconds per inference."""
    history: list[list[float]] = [[] for _ in candidates]
    end = clock() + seconds
    while True:
        for candidate, times in zip(candidates, history, strict=True):
            times.append(_time(candidate.call, 1, clock))
        stable = all(_is_stable(times) for times in history)
        if stable or clock() >= end:
            return stable, [statistics.median(times[-_WINDOW:]) for times in history]


def _is_stable(times: Sequence[float]) -> bool:
    if len(times) < 2 * _WINDOW:
        return False
    last, before = statistics.median(times[-_WINDOW:]), statistics.median(times[-2 * _WINDOW : -_WINDOW])
    return abs(last - before) <= _STABLE_WITHIN * before


def _inferences(estimate: float) -> int:
    return max(1, min(_MOST_INFERENCES, math.ceil(_ROUND_SECONDS / max(estimate, 1e-9))))


def _time_rounds(
    candidates: Sequence[Candidate], inferences: Sequence[int], options: LatencyOptions, clock: Clock
) -> list[NDArray[np.float64]]:
    """Seconds per inference, one array of rounds per candidate."""
    times: list[list[float]] = [[] for _ in candidates]
    start = clock()
    for number in range(options.most_rounds):
        for turn in range(len(candidates)):
            index = (turn + number) % len(candidates)
            times[index].append(_time(candidates[index].call, inferences[index], clock))
        if _is_over(clock() - start, number + 1, options.seconds):
            break
    return [np.array(entry) for entry in times]


def _is_over(elapsed: float, rounds: int, seconds: float) -> bool:
    if rounds < _FEWEST_ROUNDS:
        return False
    return elapsed >= (seconds if rounds >= _ENOUGH_ROUNDS else _PATIENCE * seconds)


def _time(call: Callable[[], None], inferences: int, clock: Clock) -> float:
    start = clock()
    for _ in range(inferences):
        call()
    return (clock() - start) / inferences


def _series(candidate: Candidate, times: NDArray[np.float64], inferences: int) -> LatencySeries:
    low, middle, high = np.percentile(times * 1e3, (25, 50, 75))
    return LatencySeries(
        label=candidate.label,
        precision=candidate.precision,
        median_ms=float(middle),
        q25_ms=float(low),
        q75_ms=float(high),
        minimum_ms=float(times.min() * 1e3),
        rounds=len(times),
        inferences=inferences,
    )


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
