"""SQuant against its definition: neighbours only, and sums of errors within half a step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsq_export.quantization.dtypes import QuantDtype, QuantSpec
from zsq_export.quantization.linear import dequantize, quantize
from zsq_export.quantization.squant import flip_errors, squant
from zsq_export.quantization.weights import weight_qparams

_SHAPES = st.sampled_from([(4, 5, 3, 3), (6, 1, 3, 3), (3, 7, 1, 1), (5, 9), (2, 3, 5)])


@settings(max_examples=40, deadline=None)
@given(shape=_SHAPES, seed=st.integers(0, 10_000), bits=st.integers(2, 8))
def test_each_weight_takes_one_of_its_neighbours(shape: tuple[int, ...], seed: int, bits: int) -> None:
    weight = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    spec = QuantSpec(dtype=QuantDtype.INT8, symmetric=True, narrow_range=True, per_channel=True).with_width(bits)
    qparams = weight_qparams(weight, spec, 0)
    integers = squant(weight, qparams, 0)
    scale = np.array(qparams.scale, np.float32).reshape(-1, *[1] * (len(shape) - 1))
    assert np.abs(integers - weight / scale).max() < 1 + 1e-4
    low, high = qparams.limits
    assert integers.min() >= low and integers.max() <= high


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), outputs=st.integers(1, 5), inputs=st.integers(1, 8), size=st.sampled_from([1, 4, 9])
)
def test_errors_cancel_per_channel_and_kernel(seed: int, outputs: int, inputs: int, size: int) -> None:
    exact = np.random.default_rng(seed).normal(scale=3, size=(outputs, inputs, size)).astype(np.float32)
    error = flip_errors(exact) - exact
    assert np.abs(error.sum((1, 2))).max() <= 0.5 + 1e-4
    assert np.abs(error.sum(2)).max() <= (1 if size > 1 else 1.0) + 1e-4
    assert np.abs(error).max() <= 1 + 1e-5


def test_ties_flip_no_more_than_needed() -> None:
    exact = np.full((1, 1, 8), 0.25, np.float32)
    assert flip_errors(exact).sum() == 2


def test_the_output_axis_can_be_the_last() -> None:
    weight = np.random.default_rng(1).normal(size=(16, 6)).astype(np.float32)
    spec = QuantSpec(dtype=QuantDtype.INT4, symmetric=False, per_channel=True)
    by_row = squant(weight.T.copy(), weight_qparams(weight.T, spec, 0), 0)
    np.testing.assert_array_equal(squant(weight, weight_qparams(weight, spec, 1), 1), by_row.T)


@pytest.mark.parametrize("bits", [3, 4])
def test_a_constant_input_feels_less_error_than_with_the_nearest(bits: int) -> None:
    weight = np.random.default_rng(0).normal(size=(8, 16, 3, 3)).astype(np.float32)
    spec = QuantSpec(dtype=QuantDtype.INT8, symmetric=True, narrow_range=True, per_channel=True).with_width(bits)
    qparams = weight_qparams(weight, spec, 0)
    errors = [
        np.abs((dequantize(integers, qparams) - weight).sum((1, 2, 3))).max()
        for integers in (squant(weight, qparams, 0), quantize(weight, qparams))
    ]
    assert errors[0] < 0.5 * errors[1]
