"""Accumulated statistics against numpy over everything at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsq_export.quantization.accumulate import (
    BINS,
    HISTOGRAM_SAMPLE,
    HistogramAccumulator,
    StatisticsAccumulator,
    subsample,
)

SHAPES = st.sampled_from([((3, 4, 5), 1), ((7,), 1), ((5, 6), 2), ((2, 3, 4, 2), 1), ((1, 1, 1), 1), ((4, 1), 1)])


@settings(deadline=None)
@given(
    shape=SHAPES,
    batches=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    offset=st.sampled_from([0.0, 1e4, -3.0]),
    seed=st.integers(0, 99),
)
def test_equals_numpy_over_all_batches(
    shape: tuple[tuple[int, ...], int], batches: list[int], offset: float, seed: int
) -> None:
    sides, axis = shape
    rng = np.random.default_rng(seed)
    parts = [(rng.normal(size=(n, *sides)) * 2.0 ** rng.integers(-3, 6) + offset).astype(np.float32) for n in batches]
    accumulator = StatisticsAccumulator(channel_axis=axis)
    for part in parts:
        accumulator.add(part)
    stats, whole = accumulator.result(), np.concatenate(parts)
    others = tuple(i for i in range(whole.ndim) if i != axis)
    flat = whole.reshape(len(whole), -1)
    assert (stats.minimum, stats.maximum, stats.samples) == (whole.min(), whole.max(), len(whole))
    np.testing.assert_array_equal(stats.sample_minimum, flat.min(1))
    np.testing.assert_array_equal(stats.sample_maximum, flat.max(1))
    np.testing.assert_array_equal(stats.channel_minimum, whole.min(others))
    np.testing.assert_array_equal(stats.channel_maximum, whole.max(others))
    np.testing.assert_allclose(stats.channel_mean, whole.mean(others, dtype=np.float64), rtol=1e-5, atol=1e-5)
    exact = whole.astype(np.float64).var(others)
    np.testing.assert_allclose(stats.channel_variance, exact, rtol=1e-3, atol=1e-6 + 1e-8 * abs(offset))
    expected, _ = np.histogram(
        np.minimum(whole, np.nextafter(np.float32(stats.histogram.limit), np.float32(0))),
        BINS,
        (-stats.histogram.limit, stats.histogram.limit),
    )
    np.testing.assert_array_equal(stats.histogram.counts, expected)
    assert np.log2(stats.histogram.limit).is_integer()


def test_no_cancellation_with_a_large_mean() -> None:
    rng = np.random.default_rng(0)
    accumulator = StatisticsAccumulator(channel_axis=1)
    parts = [(1000 + 0.01 * rng.normal(size=(4, 2, 32, 32))).astype(np.float32) for _ in range(10)]
    for part in parts:
        accumulator.add(part)
    exact = np.concatenate(parts).astype(np.float64).var((0, 2, 3))
    np.testing.assert_allclose(accumulator.result().channel_variance, exact, rtol=2e-2)


@given(values=st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=50), cut=st.integers(0, 50))
def test_histograms_merge_exactly(values: list[float], cut: int) -> None:
    array = np.array(values, np.float32)
    whole, left, right = HistogramAccumulator(), HistogramAccumulator(), HistogramAccumulator()
    for target, part in ((whole, array), (left, array[:cut]), (right, array[cut:])):
        for value in part:  # one by one, so that the limit doubles on the way
            target.add(np.array([value]), abs(float(value)))
    left.merge(right)
    assert left.result().limit == whole.result().limit
    np.testing.assert_array_equal(left.result().counts, whole.result().counts)
    assert whole.result().counts.sum() == len(values)


def test_non_finite_values_do_not_spoil_the_rest() -> None:
    accumulator = StatisticsAccumulator(channel_axis=1)
    accumulator.add(np.array([[1.0, -np.inf, np.nan], [2.0, -3.0, np.inf]], np.float32))
    stats = accumulator.result()
    assert (stats.minimum, stats.maximum) == (-3.0, 2.0)
    assert np.isfinite(stats.channel_variance).all()


def test_a_tensor_without_batch_axis_is_one_sample() -> None:
    accumulator = StatisticsAccumulator(channel_axis=0, batched=False)
    accumulator.add(np.arange(6, dtype=np.float32).reshape(2, 3))
    stats = accumulator.result()
    assert stats.samples == 1
    np.testing.assert_array_equal(stats.channel_mean, [1.0, 4.0])


@pytest.mark.parametrize("shape", [(4, 16, 112, 112), (2, 1280, 7, 7), (1, 3, 224, 224), (2, 64, 256, 256)])
def test_the_subsample_visits_every_channel_line_and_column(shape: tuple[int, ...]) -> None:
    index = np.arange(np.prod(shape[1:]), dtype=np.float32)[None]
    picked = subsample(index, shape)[0].astype(np.int64)
    assert len(picked) <= HISTOGRAM_SAMPLE
    for axis, places in enumerate(np.unravel_index(picked, shape[1:])):
        assert len(np.unique(places)) == shape[1 + axis]


def test_nothing_seen() -> None:
    with pytest.raises(ValueError, match="no elements"):
        StatisticsAccumulator(channel_axis=None).result()
