"""Weight scales, and biases that fit their accumulator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsq_export.quantization.bias import bias_qparams
from zsq_export.quantization.dtypes import QuantDtype, QuantSpec
from zsq_export.quantization.linear import fake_quantize, quantize
from zsq_export.quantization.weights import BIAS_HEADROOM, weight_qparams, widen_for_bias

_SPEC = QuantSpec(dtype=QuantDtype.INT8, symmetric=True, narrow_range=True, per_channel=True)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_each_channel_reaches_the_largest_integer(axis: int) -> None:
    array = np.random.default_rng(0).normal(size=(5, 6, 3)).astype(np.float32)
    qparams = weight_qparams(array, _SPEC, axis)
    others = tuple(i for i in range(3) if i != axis % 3)
    assert np.abs(quantize(array, qparams).astype(int)).max(axis=others).tolist() == [127] * array.shape[axis]
    assert np.abs(fake_quantize(array, qparams) - array).max() <= max(qparams.scale) / 2 * 1.001


def test_per_tensor_where_there_is_no_axis() -> None:
    qparams = weight_qparams(np.array([[1.0, -2.54]]), _SPEC, None)
    assert qparams.axis is None and qparams.scale[0] == pytest.approx(0.02)


def test_a_dead_channel_gets_a_usual_scale() -> None:
    array = np.array([[1.27], [0.0], [1.27]], dtype=np.float32)
    assert weight_qparams(array, _SPEC, 0).scale == pytest.approx((0.01, 0.01, 0.01))


def test_all_channels_dead() -> None:
    assert weight_qparams(np.zeros((2, 3)), _SPEC, 0).scale == (1.0, 1.0)


@settings(max_examples=50)
@given(
    weight=st.lists(st.floats(0, 10, width=32), min_size=2, max_size=2),
    bias=st.lists(st.floats(-1e4, 1e4, width=32), min_size=2, max_size=2),
    step=st.floats(2.0**-20, 1, width=32),
)
def test_the_bias_fits_32_bits(weight: list[float], bias: list[float], step: float) -> None:
    array, biases = np.array(weight, dtype=np.float32)[:, None], np.array(bias, dtype=np.float32)
    widened = widen_for_bias(weight_qparams(array, _SPEC, 0), biases, step)
    integers = quantize(biases, bias_qparams(widened, step))
    assert np.all(np.abs(integers.astype(np.int64)) <= BIAS_HEADROOM * 1.0001)


def test_scales_that_suffice_are_left_alone() -> None:
    qparams = weight_qparams(np.ones((2, 1)), _SPEC, 0)
    assert widen_for_bias(qparams, np.ones(2, dtype=np.float32), 0.1) is qparams


def test_the_bias_step_is_the_product_in_float32() -> None:
    weight = weight_qparams(np.array([[0.3], [0.7]], dtype=np.float32), _SPEC, 0)
    qparams = bias_qparams(weight, 0.1)
    assert qparams.dtype is QuantDtype.INT32 and qparams.axis == 0
    assert qparams.scale == tuple(float(np.float32(0.1) * np.float32(s)) for s in weight.scale)
