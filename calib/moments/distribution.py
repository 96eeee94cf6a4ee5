"""The distribution of one tensor, channel by channel, as a function of a standard normal variable.

Sources: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2
and appendix C (a normal variable with mean beta and deviation |gamma| behind each BatchNorm, clipped by what follows).
Clipped moments are taken on a grid, so that every elementwise operator is treated alike.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from zsq_export.quantization.accumulate import BINS
from zsq_export.quantization.statistics import Histogram, TensorStatistics

Array = NDArray[np.float64]

DEVIATIONS = 6.0
"""Ranges reach so many standard deviations from the mean (the paper's choice)."""

_POINTS = 241
_COUNTED = 1e7

GRID = np.linspace(-DEVIATIONS, DEVIATIONS, _POINTS)
_DENSITY = np.exp(-(GRID**2) / 2)
WEIGHTS = _DENSITY / _DENSITY.sum()
_SOURCES = itertools.count()


@dataclass(frozen=True, kw_only=True, eq=False)
class Distribution:
    """One tensor.

    Attributes:
        values: float64 [channels, points], the tensor's value where its source is at each point of GRID; one channel
            stands for all where channels have lost their meaning.
        source: the random variable; tensors of one source are functions of each other.
        lowest, highest: float64 [channels], what the values can be at most, from the operators before.
    """

    values: Array
    source: int = field(default_factory=lambda: next(_SOURCES))
    lowest: Array
    highest: Array

    @property
    def channels(self) -> int:
        """How many channels are told apart."""
        return len(self.values)

    @property
    def mean(self) -> Array:
        """float64 [channels]."""
        return np.asarray(self.values @ WEIGHTS, np.float64)

    @property
    def variance(self) -> Array:
        """float64 [channels]."""
        return np.asarray(np.maximum(self.values**2 @ WEIGHTS - self.mean**2, 0.0), np.float64)

    def extremes(self) -> tuple[Array, Array]:
        """Smallest and largest value per channel, six deviations of the source away, within the known bounds."""
        return np.maximum(self.values.min(1), self.lowest), np.minimum(self.values.max(1), self.highest)

    def mapped(self, function: Callable[[Array], Array]) -> Distribution:
        """Behind an elementwise function, which need not be monotonic."""
        values = function(self.values)
        ends = function(np.stack([self.lowest, self.highest], axis=1))
        ends = np.where(np.isfinite(ends), ends, 0.0)
        return Distribution(
            values=values,
            source=self.source,
            lowest=np.where(np.isfinite(self.lowest), np.minimum(values.min(1), ends.min(1)), -np.inf),
            highest=np.where(np.isfinite(self.highest), np.maximum(values.max(1), ends.max(1)), np.inf),
        )

    def pooled(self) -> Distribution:
        """One channel that stands for all: what an operator leaves that mixes them up."""
        mean = float(self.mean.mean())
        variance = float((self.variance + self.mean**2).mean() - mean**2)
        low, high = self.extremes()
        whole = normal(np.array([mean]), np.array([variance]))
        return bounded(whole, np.array([low.min()]), np.array([high.max()]))

    def statistics(self, channel_axis: int | None) -> TensorStatistics:
        """The same in the form that planning reads; histogram counts are proportions of ten million."""
        low, high = self.extremes()
        limit = 2.0 ** np.ceil(np.log2(max(float(np.abs(low).max()), float(np.abs(high).max()), 2.0**-40)))
        places = np.floor(np.clip(self.values, low[:, None], high[:, None]) * (BINS / 2 / limit)).astype(np.int64)
        places = np.clip(places + BINS // 2, 0, BINS - 1)
        shares = np.broadcast_to(WEIGHTS / self.channels, places.shape)
        counts = np.bincount(places.reshape(-1), weights=shares.reshape(-1), minlength=BINS)
        return TensorStatistics(
            minimum=float(low.min()),
            maximum=float(high.max()),
            sample_minimum=np.array([low.min()], np.float32),
            sample_maximum=np.array([high.max()], np.float32),
            channel_minimum=low.astype(np.float32),
            channel_maximum=high.astype(np.float32),
            channel_mean=self.mean.astype(np.float32),
            channel_variance=self.variance.astype(np.float32),
            channel_axis=channel_axis,
            histogram=Histogram(counts=np.rint(counts * _COUNTED).astype(np.int64), limit=float(limit)),
            samples=1,
        )


def normal(mean: Array, variance: Array) -> Distribution:
    """A normal variable per channel, of a source of its own.

    Args:
        mean, variance: [channels].
    """
    values = mean[:, None] + np.sqrt(np.maximum(variance, 0.0))[:, None] * GRID
    unknown = np.full(len(mean), np.inf)
    return Distribution(values=values, lowest=-unknown, highest=unknown)


def bounded(found: Distribution, lowest: Array, highest: Array) -> Distribution:
    """The same, known to stay within bounds [channels]."""
    return Distribution(values=found.values, source=found.source, lowest=lowest, highest=highest)


def combine(
    first: Distribution, second: Distribution, function: Callable[[Array, Array], Array], independent: Distribution
) -> Distribution:
    """Behind an operator with two operands.

    Args:
        first, second: operands.
        function: the operator, elementwise.
        independent: the result where the operands have different sources.
    """
    if first.source != second.source:
        return independent
    values = function(first.values, second.values)
    return Distribution(values=values, source=first.source, lowest=values.min(1), highest=values.max(1))


def add(first: Distribution, second: Distribution) -> Distribution:
    """Sum; independent operands give a normal variable with the sums of their moments."""
    free = normal(first.mean + second.mean, first.variance + second.variance)
    lows, highs = zip(first.extremes(), second.extremes(), strict=True)
    free = bounded(free, lows[0] + lows[1], highs[0] + highs[1])
    return combine(first, second, np.add, free)


def multiply(first: Distribution, second: Distribution) -> Distribution:
    """Product; independent operands give a normal variable with the moments of their product."""
    mean = first.mean * second.mean
    square = (first.variance + first.mean**2) * (second.variance + second.mean**2)
    (low, high), (bottom, top) = first.extremes(), second.extremes()
    corners = np.stack(np.broadcast_arrays(low * bottom, low * top, high * bottom, high * top))
    free = bounded(normal(mean, square - mean**2), corners.min(0), corners.max(0))
    return combine(first, second, np.multiply, free)
