"""Range estimators: from what was seen of a tensor to the interval that the integers have to cover."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from zsq_export.quantization.dtypes import QuantSpec
from zsq_export.quantization.linear import quantize
from zsq_export.quantization.ranges import qparams_from_range
from zsq_export.quantization.statistics import Histogram, TensorStatistics

Range = tuple[float, float]

PERCENTILE_TAIL = 1e-5
"""Share of the elements that PERCENTILE cuts off on each side (99.999 %)."""

_SHRINK_STEPS = np.linspace(1.0, 0.3, 36)
_SWEEPS = 2


class RangeEstimator(StrEnum):
    """How the clip interval of an activation is chosen."""

    MIN_MAX = "min-max"
    MEAN_MIN_MAX = "mean-min-max"
    PERCENTILE = "percentile"
    MSE = "mse"


def estimate_range(stats: TensorStatistics, estimator: RangeEstimator, spec: QuantSpec) -> Range:
    """The interval [minimum, maximum] to cover, which always contains 0.

    Args:
        stats: what was seen of the tensor.
        estimator: MIN_MAX takes the extremes; MEAN_MIN_MAX the mean of every sample's extremes (Krishnamoorthi 2018,
            arXiv:1806.08342, as NNCF's default); PERCENTILE cuts 0.001 % on each side of the histogram; MSE the
            interval whose rounding plus clipping error over the histogram is least (Banner et al., arXiv:1810.05723).
        spec: the integers that the range is for; MSE depends on their number.
    """
    low, high = _ESTIMATORS[estimator](stats, spec)
    return min(low, 0.0), max(high, 0.0)


def _min_max(stats: TensorStatistics, _spec: QuantSpec) -> Range:
    return stats.minimum, stats.maximum


def _mean_min_max(stats: TensorStatistics, _spec: QuantSpec) -> Range:
    return float(np.mean(stats.sample_minimum)), float(np.mean(stats.sample_maximum))


def _percentile(stats: TensorStatistics, _spec: QuantSpec) -> Range:
    total = int(stats.histogram.counts.sum())
    if total == 0:
        return stats.minimum, stats.maximum
    share = np.cumsum(stats.histogram.counts) / total
    edges = bin_edges(stats.histogram)
    low = edges[int(np.searchsorted(share, PERCENTILE_TAIL, side="right"))]
    high = edges[int(np.searchsorted(share, 1.0 - PERCENTILE_TAIL, side="left")) + 1]
    return max(float(low), stats.minimum), min(float(high), stats.maximum)


def _mse(stats: TensorStatistics, spec: QuantSpec) -> Range:
    used = np.flatnonzero(stats.histogram.counts)
    if used.size == 0:
        return stats.minimum, stats.maximum
    edges = bin_edges(stats.histogram)
    centres = ((edges[:-1] + edges[1:]) / 2)[used].clip(stats.minimum, stats.maximum)
    counts = stats.histogram.counts[used].astype(np.float64)

    def error(candidate: Range) -> float:
        return _quantization_error(centres, counts, candidate, spec)

    low, high = full = (min(stats.minimum, 0.0), max(stats.maximum, 0.0))
    for _ in range(_SWEEPS):
        high = min(((low, full[1] * float(s)) for s in _SHRINK_STEPS), key=error)[1]
        low = min(((full[0] * float(s), high) for s in _SHRINK_STEPS), key=error)[0]
    return low, high


def bin_edges(histogram: Histogram) -> NDArray[np.float64]:
    """The ``len(counts) + 1`` edges of the bins, in units of the tensor."""
    return np.linspace(-histogram.limit, histogram.limit, len(histogram.counts) + 1)


def _quantization_error(
    values: NDArray[np.float64], counts: NDArray[np.float64], candidate: Range, spec: QuantSpec
) -> float:
    qparams = qparams_from_range(*candidate, spec)
    restored = (quantize(values, qparams).astype(np.float64) - qparams.zero_point[0]) * qparams.scale[0]
    return float(counts @ (values - restored) ** 2)


_ESTIMATORS: dict[RangeEstimator, Callable[[TensorStatistics, QuantSpec], Range]] = {
    RangeEstimator.MIN_MAX: _min_max,
    RangeEstimator.MEAN_MIN_MAX: _mean_min_max,
    RangeEstimator.PERCENTILE: _percentile,
    RangeEstimator.MSE: _mse,
}
