"""Statistics of one tensor, gathered batch by batch.

Moments are merged as in T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances", 1979, so that the result does not suffer from cancellation however many batches there are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.quantization.statistics import Histogram, TensorStatistics

BINS = 8192
HISTOGRAM_SAMPLE = 16384
"""At most this many elements of one sample of one tensor are counted in the histogram."""

_BLOCK = 2**16
_SMALLEST_LIMIT = 2.0**-40

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]


class HistogramAccumulator:
    """Counts over 8192 bins of [-limit, limit]; ``limit`` doubles as needed and the old counts merge exactly."""

    def __init__(self) -> None:
        self._counts = np.zeros(BINS, np.int64)
        self._limit = _SMALLEST_LIMIT

    def add(self, values: Float32, largest: float) -> None:
        """Counts finite values.

        Args:
            values: float32, any shape.
            largest: at least the largest magnitude in ``values``.
        """
        self.widen(largest)
        # Scaling by a power of two is exact, so that widening later gives what a wide histogram would have counted.
        index = np.floor(values * np.float32(BINS / 2 / self._limit)).astype(np.int32, copy=False)
        index = np.clip(index + BINS // 2, 0, BINS - 1)
        self._counts += np.bincount(index.reshape(-1), minlength=BINS)

    def widen(self, largest: float) -> None:
        """Doubles the limit until it covers ``largest``; pairs of old bins become one."""
        if not self._counts.any():
            self._limit = max(self._limit, _power_of_two_above(largest))
        while self._limit < largest:
            pairs = self._counts.reshape(-1, 2).sum(1)
            self._counts = np.zeros(BINS, np.int64)
            self._counts[BINS // 4 : 3 * BINS // 4] = pairs
            self._limit *= 2

    def merge(self, other: HistogramAccumulator) -> None:
        """Adds the counts of another histogram of the same tensor."""
        self.widen(other._limit)
        other.widen(self._limit)
        self._counts += other._counts

    def result(self) -> Histogram:
        """What was counted so far."""
        return Histogram(counts=self._counts.copy(), limit=self._limit)


def _power_of_two_above(value: float) -> float:
    """The smallest power of two that is at least ``value``."""
    fraction, exponent = math.frexp(value)
    return math.ldexp(1.0, exponent - 1 if fraction == 0.5 else exponent)


class MomentAccumulator:
    """Mean and variance per channel."""

    def __init__(self) -> None:
        self._count = 0
        self._mean: Float64 = np.zeros(0)
        self._squares: Float64 = np.zeros(0)

    def add(self, count: int, mean: Float64, squares: Float64) -> None:
        """Merges a part.

        Args:
            count: elements per channel in the part.
            mean: float64 [channels] of the part.
            squares: float64 [channels], sum of squared distances from that mean.
        """
        if not self._count:
            self._count, self._mean, self._squares = count, mean, squares
            return
        total = self._count + count
        delta = mean - self._mean
        self._mean = self._mean + delta * (count / total)
        self._squares = self._squares + squares + delta**2 * (self._count * count / total)
        self._count = total

    @property
    def mean(self) -> Float32:
        """float32 [channels]."""
        return self._mean.astype(np.float32)

    @property
    def variance(self) -> Float32:
        """float32 [channels], biased."""
        return (self._squares / max(self._count, 1)).astype(np.float32)


class StatisticsAccumulator:
    """Everything in TensorStatistics for one tensor, in memory that does not grow with the elements seen.

    Args:
        channel_axis: of the tensor with its batch axis; None: no channels.
        batched: axis 0 counts samples; otherwise each call of ``add`` brings one sample.
    """

    def __init__(self, *, channel_axis: int | None, batched: bool = True) -> None:
        self._axis = channel_axis
        self._batched = batched
        self._moments = MomentAccumulator()
        self._histogram = HistogramAccumulator()
        self._sample_extremes: list[tuple[Float32, Float32]] = []
        self._channel_extremes: tuple[Float32, Float32] | None = None

    def add(self, array: NDArray[Any]) -> None:
        """Takes in one batch.

        Args:
            array: float [samples, ...]. NaN counts as 0, an infinity as the largest finite value of its batch.
        """
        if not array.size:
            return
        part = _layout(array.astype(np.float32, copy=False), self._axis, self._batched)
        low, high = part.min(axis=(1, 3)), part.max(axis=(1, 3))
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            part = _finite(part)
            low, high = part.min(axis=(1, 3)), part.max(axis=(1, 3))
        self._sample_extremes.append((low.min(1), high.max(1)))
        self._merge_channels(low.min(0), high.max(0))
        self._moments.add(*_moments(part))
        largest = max(abs(float(low.min())), abs(float(high.max())))
        self._histogram.add(subsample(part.reshape(len(part), -1), array.shape), largest)

    def _merge_channels(self, low: Float32, high: Float32) -> None:
        if self._channel_extremes is not None:
            low = np.minimum(low, self._channel_extremes[0])
            high = np.maximum(high, self._channel_extremes[1])
        self._channel_extremes = low, high

    def result(self) -> TensorStatistics:
        """The statistics of all batches so far.

        Raises:
            ValueError: nothing was added.
        """
        if self._channel_extremes is None:
            raise ValueError("no elements were seen")
        minima, maxima = (np.concatenate(part) for part in zip(*self._sample_extremes, strict=True))
        return TensorStatistics(
            minimum=float(minima.min()),
            maximum=float(maxima.max()),
            sample_minimum=minima,
            sample_maximum=maxima,
            channel_minimum=self._channel_extremes[0],
            channel_maximum=self._channel_extremes[1],
            channel_mean=self._moments.mean,
            channel_variance=self._moments.variance,
            channel_axis=self._axis,
            histogram=self._histogram.result(),
            samples=len(minima),
        )


def subsample(rows: Float32, shape: tuple[int, ...]) -> Float32:
    """At most HISTOGRAM_SAMPLE elements of each row, spread evenly; a view.

    The stride shares no factor with any side of the tensor, so that every channel, line and column is visited.

    Args:
        rows: [samples, elements].
        shape: of the tensor that the rows were made from.
    """
    stride = -(-rows.shape[1] // HISTOGRAM_SAMPLE)
    if stride <= 1:
        return rows
    while any(math.gcd(stride, side) > 1 for side in shape[1:] if side > 1):
        stride += 1
    return rows[:, ::stride]


def _layout(array: Float32, axis: int | None, batched: bool) -> Float32:
    """The array as [samples, before the channel axis, channels, after it]; a view where the memory allows."""
    if not batched:
        array, axis = array[None], None if axis is None else axis + 1
    if axis is None:
        return array.reshape(len(array), 1, 1, -1)
    before = math.prod(array.shape[1:axis])
    return array.reshape(len(array), before, array.shape[axis], -1)


def _finite(part: Float32) -> Float32:
    finite = part[np.isfinite(part)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    return np.nan_to_num(part, nan=0.0, posinf=float(high), neginf=float(low))


def _moments(part: Float32) -> tuple[int, Float64, Float64]:
    """Count, mean and centred sum of squares per channel of [samples, before, channels, after]."""
    samples, before, channels, after = part.shape
    count = samples * before * after
    if after == 1:
        mean = part.mean(axis=(0, 1, 3), dtype=np.float64)
        rounded = mean.astype(np.float32)
        centred = part.reshape(-1, channels) - rounded
        return count, mean, np.square(centred).sum(0, dtype=np.float64) - count * (rounded - mean) ** 2
    rows = part.reshape(-1, after)
    row_mean, row_squares = np.empty(len(rows)), np.empty(len(rows))
    step = max(_BLOCK // after, 1)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        centre = block.mean(1)
        centred = block - centre[:, None]
        row_mean[start : start + step] = centre
        row_squares[start : start + step] = np.vecdot(centred, centred)
    return count, *_over_rows(row_mean, row_squares, (samples * before, channels), after)


def _over_rows(mean: Float64, squares: Float64, shape: tuple[int, int], size: int) -> tuple[Float64, Float64]:
    """Merges the moments of equally long rows [groups, channels] into those of the channels."""
    means = mean.reshape(shape)
    total = means.mean(0)
    return total, squares.reshape(shape).sum(0) + size * ((means - total) ** 2).sum(0)
