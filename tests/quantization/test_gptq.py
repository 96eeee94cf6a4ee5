"""Rounding with compensation: less error where the inputs are, never outside the integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsq_export.quantization.gptq import gptq


def problem(seed: int, groups: int, outputs: int, columns: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((groups, columns, columns))
    return rng.standard_normal((groups, outputs, columns)).astype(np.float32), mixing @ mixing.transpose(0, 2, 1)


def error(weight: NDArray[np.float32], restored: NDArray[np.float32], covariance: NDArray[np.float64]) -> float:
    lost = (weight - restored).astype(np.float64)
    return float(np.einsum("goi,gij,goj->", lost, covariance, lost))


@given(seed=st.integers(0, 999), groups=st.integers(1, 3), outputs=st.integers(1, 4), columns=st.integers(1, 90))
@settings(max_examples=40, deadline=None)
def test_integers_stay_within_their_limits(seed: int, groups: int, outputs: int, columns: int) -> None:
    weight, covariance = problem(seed, groups, outputs, columns)
    scale = np.full((groups, outputs), 0.2, np.float32)
    integers = gptq(weight, covariance, scale, (-7, 7))
    assert integers.shape == weight.shape
    assert integers.min() >= -7 and integers.max() <= 7


@pytest.mark.parametrize("columns", [9, 64, 65, 200])
def test_the_weighted_error_falls(columns: int) -> None:
    weight, covariance = problem(0, 2, 8, columns)
    scale = np.full((2, 8), 0.03, np.float32)
    nearest = np.clip(np.rint(weight / 0.03), -127, 127)
    integers = gptq(weight, covariance, scale, (-127, 127))
    before = error(weight, (nearest * 0.03).astype(np.float32), covariance)
    assert error(weight, (integers * 0.03).astype(np.float32), covariance) < 0.7 * before


@given(seed=st.integers(0, 999), scale=st.floats(0.01, 1.0))
@settings(max_examples=20, deadline=None)
def test_independent_inputs_leave_the_nearest_integers(seed: int, scale: float) -> None:
    weight, _ = problem(seed, 1, 3, 12)
    integers = gptq(weight, np.eye(12)[None], np.full((1, 3), scale, np.float32), (-127, 127))
    exact = weight.astype(np.float64) / np.float64(np.float32(scale))
    assert np.all(np.abs(integers - np.clip(exact, -127, 127)) <= 0.5 + 1e-9)


def test_inputs_that_are_never_there_change_nothing() -> None:
    weight, _ = problem(1, 1, 3, 12)
    integers = gptq(weight, np.zeros((1, 12, 12)), np.full((1, 3), 0.1, np.float32), (-127, 127))
    np.testing.assert_array_equal(integers, np.rint(weight.astype(np.float64) / np.float32(0.1).astype(np.float64)))
