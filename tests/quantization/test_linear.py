"""Quantization is what ONNX Runtime computes, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from onnx_graphs import node, proto, run

from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.linear import dequantize, fake_quantize, quantize
from zsq_export.quantization.qparams import QParams

_VALUES = arrays(np.float32, 24, elements=st.floats(-300, 300, width=32))
_EIGHT_BITS = (QuantDtype.INT8, QuantDtype.UINT8)


@settings(max_examples=40, deadline=None)
@given(
    values=_VALUES,
    dtype=st.sampled_from(_EIGHT_BITS),
    scale=st.floats(2.0**-10, 2.0, width=32),
    shift=st.integers(0, 255),
)
def test_equals_onnx_runtime(values: np.ndarray, dtype: QuantDtype, scale: float, shift: int) -> None:
    zero_point = dtype.limits[0] + shift
    qparams = QParams(scale=(scale,), zero_point=(zero_point,), dtype=dtype)
    constants = {"s": np.float32(scale), "z": np.array(zero_point, dtype=dtype.value)}
    graph = proto(
        [node("QuantizeLinear", ["x", "s", "z"], "q"), node("DequantizeLinear", ["q", "s", "z"], "y")],
        constants,
        inputs={"x": (24,)},
    )
    assert np.array_equal(fake_quantize(values, qparams), run(graph, {"x": values})["y"])


def test_rounds_half_to_even_and_saturates() -> None:
    qparams = QParams(scale=(1.0,), zero_point=(0,), dtype=QuantDtype.INT8)
    values = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -1e9, np.inf], dtype=np.float32)
    assert quantize(values, qparams).tolist() == [0, 2, 2, 0, -2, 127, -128, 127]


def test_narrow_range_leaves_out_the_smallest_integer() -> None:
    qparams = QParams(scale=(1.0,), zero_point=(0,), dtype=QuantDtype.INT8, narrow_range=True)
    assert quantize(np.array([-1e9]), qparams).tolist() == [-127]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_channels_have_their_own_scale(axis: int) -> None:
    values = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    scale = (0.1, 0.2, 0.3, 0.4)
    result = fake_quantize(values, QParams(scale=scale, zero_point=(0,) * 4, dtype=QuantDtype.INT8, axis=axis))
    for index, step in enumerate(scale):
        single = QParams(scale=(step,), zero_point=(0,), dtype=QuantDtype.INT8)
        assert np.array_equal(result.take(index, axis), fake_quantize(values.take(index, axis), single))


@pytest.mark.parametrize("dtype", list(QuantDtype))
def test_every_type_keeps_its_limits(dtype: QuantDtype) -> None:
    qparams = QParams(scale=(0.5,), zero_point=(0,), dtype=dtype)
    extremes = quantize(np.array([-1e12, 1e12]), qparams)
    assert tuple(extremes.tolist()) == dtype.limits
    assert dequantize(extremes, qparams).dtype == np.float32


def test_an_axis_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="axis 3"):
        quantize(np.zeros((2, 2)), QParams(scale=(1.0,), zero_point=(0,), dtype=QuantDtype.INT8, axis=3))
