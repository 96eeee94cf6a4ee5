"""What each range estimator covers."""

from __future__ import annotations

import numpy as np
import pytest

from zsq_export.quantization.accumulate import StatisticsAccumulator
from zsq_export.quantization.dtypes import QuantDtype, QuantSpec
from zsq_export.quantization.estimators import RangeEstimator, estimate_range
from zsq_export.quantization.linear import fake_quantize
from zsq_export.quantization.ranges import qparams_from_range
from zsq_export.quantization.statistics import TensorStatistics

_UINT8 = QuantSpec(dtype=QuantDtype.UINT8, symmetric=False)
_INT4 = QuantSpec(dtype=QuantDtype.INT4, symmetric=True)


def _statistics(values: np.ndarray) -> TensorStatistics:
    accumulator = StatisticsAccumulator(channel_axis=1)
    accumulator.add(values.astype(np.float32))
    return accumulator.result()


@pytest.fixture
def outlier() -> np.ndarray:
    values = np.random.default_rng(0).normal(size=(8, 4, 1000))
    values[3, 2, 1] = 100.0
    return values


def test_min_max_takes_the_extremes(outlier: np.ndarray) -> None:
    low, high = estimate_range(_statistics(outlier), RangeEstimator.MIN_MAX, _UINT8)
    assert low == pytest.approx(outlier.min()) and high == 100.0


def test_mean_min_max_takes_the_mean_over_samples(outlier: np.ndarray) -> None:
    low, high = estimate_range(_statistics(outlier), RangeEstimator.MEAN_MIN_MAX, _UINT8)
    assert high == pytest.approx(outlier.max(axis=(1, 2)).mean(), rel=1e-5)
    assert low == pytest.approx(outlier.min(axis=(1, 2)).mean(), rel=1e-5)


def test_percentile_leaves_a_lone_outlier_out(outlier: np.ndarray) -> None:
    many = np.tile(outlier, (1, 1, 40))
    many[:, :, 1000:][many[:, :, 1000:] > 50] = 0
    _, high = estimate_range(_statistics(many), RangeEstimator.PERCENTILE, _UINT8)
    assert 3.0 < high < 10.0


def test_mse_beats_min_max_where_integers_are_few(outlier: np.ndarray) -> None:
    statistics = _statistics(np.clip(outlier, -6, 6))

    def error(estimator: RangeEstimator) -> float:
        qparams = qparams_from_range(*estimate_range(statistics, estimator, _INT4), _INT4)
        return float(np.mean((fake_quantize(outlier, qparams) - np.clip(outlier, -6, 6)) ** 2))

    assert error(RangeEstimator.MSE) < 0.9 * error(RangeEstimator.MIN_MAX)


@pytest.mark.parametrize("estimator", list(RangeEstimator))
def test_every_range_holds_zero_and_stays_within_what_was_seen(estimator: RangeEstimator) -> None:
    values = np.random.default_rng(1).uniform(2.0, 3.0, size=(4, 2, 50))
    low, high = estimate_range(_statistics(values), estimator, _UINT8)
    assert low == 0.0 and 2.0 < high <= np.float32(values.max())


@pytest.mark.parametrize("estimator", list(RangeEstimator))
def test_a_dead_tensor_has_an_empty_range(estimator: RangeEstimator) -> None:
    assert estimate_range(_statistics(np.zeros((2, 3, 4))), estimator, _UINT8) == (0.0, 0.0)
