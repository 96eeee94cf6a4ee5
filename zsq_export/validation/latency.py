"""Latency of several models side by side: :mod:`zsq_export.device.timing` measures, this says what it means."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zsq_export.device.energy import Energy
from zsq_export.device.ratios import Ratio, Timings
from zsq_export.device.timing import Clock, Counter, Rest, TimingOptions, measure
from zsq_export.validation.figures import InputOrigin, Latency, LatencySeries, SpeedUp

NO_ENERGY = Energy(counter="", note="not measured", millijoules=())


@dataclass(frozen=True, kw_only=True)
class LatencyOptions:
    """How latency is measured.

    Attributes:
        batch_size: samples per inference; None: the model's own if it is fixed, else 1.
        seconds: about how long all rounds together take where the rounds agree.
        most_seconds: until when it may go on, because the interval of the ratio is wide or the rounds are few.
        most_rounds: enough for a quick model.
        seed: of the bootstrap.
        more_batch_sizes: measured, too, after ``batch_size``.
        more_threads: numbers of threads that are measured, too, each with every batch size.
    """

    batch_size: int | None = None
    seconds: float = TimingOptions.seconds
    most_seconds: float = TimingOptions.most_seconds
    most_rounds: int = 2000
    seed: int = 0
    more_batch_sizes: tuple[int, ...] = ()
    more_threads: tuple[int, ...] = ()

    @classmethod
    def of(cls, batch_sizes: tuple[int, ...], threads: tuple[int, ...]) -> LatencyOptions:
        """Sweeps over batch sizes and numbers of threads, the main one first."""
        return cls(
            batch_size=batch_sizes[0] if batch_sizes else None,
            more_batch_sizes=batch_sizes[1:],
            more_threads=threads[1:],
        )

    @property
    def timing(self) -> TimingOptions:
        """The part that the device is told."""
        return TimingOptions(
            seconds=self.seconds,
            most_seconds=max(self.seconds, self.most_seconds),
            most_rounds=self.most_rounds,
            seed=self.seed,
        )


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


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What one latency was measured under.

    Attributes:
        batch_size: samples per inference of every model.
        threads: what the runtimes were told; None: nothing.
        inputs: real or synthetic.
        seed: of the bootstrap.
    """

    batch_size: int
    threads: int | None
    inputs: InputOrigin
    seed: int = 0


def measure_latency(
    candidates: Sequence[Candidate],
    options: LatencyOptions,
    *,
    batch_size: int,
    threads: int | None,
    inputs: InputOrigin,
    clock: Clock = time.perf_counter,
    preemptions: Counter | None = None,
    rest: Rest | None = None,
) -> Latency:
    """Times float candidates and the quantized one (the last) in interleaved rounds.

    Args:
        candidates: float ones first, f32 at the very first; the quantized one last.
        options: times and seed.
        batch_size: samples per inference of every candidate.
        threads: what the runtimes were told.
        inputs: real or synthetic.
        clock: replaced in tests.
        preemptions, rest: replaced in tests.

    Returns:
        Medians with quartiles, and the speed-up against every float candidate.
    """
    timings = measure(
        [candidate.call for candidate in candidates],
        options.timing,
        clock=clock,
        preemptions=preemptions,
        rest=rest,
    )
    precisions = [candidate.precision for candidate in candidates]
    labels = [candidate.label for candidate in candidates]
    conditions = Conditions(batch_size=batch_size, threads=threads, inputs=inputs, seed=options.seed)
    return summarize_latency(labels, precisions, timings, conditions)


def summarize_latency(
    labels: Sequence[str],
    precisions: Sequence[str | None],
    timings: Timings,
    conditions: Conditions,
    energy: Energy = NO_ENERGY,
) -> Latency:
    """What rounds that were timed here or elsewhere come to.

    Args:
        labels, precisions: of the models, the quantized one last.
        timings: of all of them.
        conditions: that they were measured under.
        energy: of each of them.
    """
    times = timings.kept
    series = [
        _series(label, precision, own, inferences, millijoules)
        for label, precision, own, inferences, millijoules in zip(
            labels, precisions, times, timings.inferences, energy.millijoules or [None] * len(labels), strict=True
        )
    ]
    floats = series[:-1] or series
    return Latency(
        batch_size=conditions.batch_size,
        threads=conditions.threads,
        series=tuple(series),
        speedups=tuple(
            _speed_up(own.label, timings.ratio(index, seed=conditions.seed)) for index, own in enumerate(floats)
        ),
        best_float=min(floats, key=lambda own: own.median_ms).label,
        warmed_up=timings.warmed_up,
        inputs=conditions.inputs,
        disturbed_rounds=timings.seconds.shape[1] - times.shape[1],
        energy=energy.counter or energy.note,
        raised_priority=timings.raised,
    )


def _speed_up(label: str, found: Ratio) -> SpeedUp:
    return SpeedUp(baseline=label, ratio=found.ratio, low=found.low, high=found.high)


def _series(
    label: str, precision: str | None, times: NDArray[np.float64], inferences: int, millijoules: float | None
) -> LatencySeries:
    low, middle, high = np.percentile(times * 1e3, (25, 50, 75))
    return LatencySeries(
        label=label,
        precision=precision,
        median_ms=float(middle),
        q25_ms=float(low),
        q75_ms=float(high),
        minimum_ms=float(times.min() * 1e3),
        rounds=len(times),
        inferences=inferences,
        millijoules=millijoules,
    )
