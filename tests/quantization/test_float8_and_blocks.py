"""8-bit floats and scales per block, against ONNX Runtime."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx_graphs import run

from zsq_export.quantization.blocks import blocked_qparams
from zsq_export.quantization.dtypes import QuantDtype, QuantSpec
from zsq_export.quantization.linear import dequantize, fake_quantize, quantize
from zsq_export.quantization.qparams import QParams
from zsq_export.quantization.ranges import as_scale, qparams_from_range
from zsq_export.quantization.weights import weight_qparams

FLOAT8 = QuantSpec(dtype=QuantDtype.FLOAT8E4M3FN, symmetric=True)
INT4 = QuantSpec(dtype=QuantDtype.INT4, symmetric=True, narrow_range=True, block=16, half_scale=True)
HALF = QuantSpec(dtype=QuantDtype.INT8, symmetric=True, half_scale=True, per_channel=True)


def _pair(qparams: QParams, zero_point: TensorProto, length: int) -> bytes:
    scale = numpy_helper.from_array(np.float32(qparams.scale[0]), "s")
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "s"], ["y"]),
        ],
        "g", [helper.make_tensor_value_info("x", 1, [length])], [helper.make_tensor_value_info("y", 1, [length])],
        [scale, zero_point],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9).SerializeToString()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(1e-3, 1e3))
def test_float8_rounds_as_onnxruntime_does(seed: int, reach: float) -> None:
    x = (np.random.default_rng(seed).normal(size=64) * reach).astype(np.float32)
    qparams = qparams_from_range(float(x.min()) / 2, float(x.max()) / 2, FLOAT8)
    zero = TensorProto(name="z", data_type=TensorProto.FLOAT8E4M3FN, raw_data=b"\0")
    assert np.array_equal(run(_pair(qparams, zero, 64), {"x": x})["y"], fake_quantize(x, qparams))


def test_float8_covers_the_range_with_448_steps() -> None:
    qparams = qparams_from_range(-3.0, 2.0, FLOAT8)
    assert qparams.scale[0] == np.float32(3 / 448)
    assert quantize(np.array([9.0, -9.0]), qparams).astype(np.float32).tolist() == [448, -448]
    assert quantize(np.array([1.0]), qparams).dtype == ml_dtypes.float8_e4m3fn
    assert (FLOAT8.width, FLOAT8.limits) == (8, (-448, 448))


@pytest.mark.parametrize("axis", [0, 1])
def test_each_block_has_a_scale_of_its_own(axis: int) -> None:
    rng = np.random.default_rng(0)
    array = (rng.normal(size=(64, 32)) * rng.uniform(0.01, 5, size=(64, 32))).astype(np.float32)
    qparams = blocked_qparams(array, INT4, axis)
    assert len(qparams.scale) == array.size // 16
    integers = quantize(array, qparams)
    blocks = integers.reshape((4, 16, 32) if axis == 0 else (64, 2, 16))
    assert np.all(np.abs(blocks).max(axis=axis + 1) == 7)
    restored = dequantize(integers, qparams)
    blocked_scale = np.asarray(qparams.scale).reshape(blocks.shape[0], -1) if axis else None
    assert np.abs(restored - array).max() <= max(qparams.scale) / 2 * 1.001
    assert blocked_scale is None or blocked_scale.shape == (64, 2)


def test_blocks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks of 16"):
        blocked_qparams(np.ones((10, 4), np.float32), INT4, 0)
    with pytest.raises(ValueError, match="blocks"):
        QParams(scale=(1.0,), zero_point=(0,), dtype=QuantDtype.INT4, block=16)


def test_blocks_of_zeros_get_a_usual_scale() -> None:
    array = np.zeros((32, 2), np.float32)
    array[16:] = 7
    assert set(blocked_qparams(array, INT4, 0).scale) == {1.0}
    assert set(blocked_qparams(np.zeros((32, 2), np.float32), INT4, 0).scale) == {1.0}


@given(st.floats(1e-9, 1e6))
def test_half_scales_cover_the_range_and_are_float16_numbers(value: float) -> None:
    scale = as_scale(value, half=True)
    assert scale >= np.float32(value)
    assert scale > 65504 or float(np.float16(scale)) == scale
    assert scale <= max(value * 1.001, 6e-8) or value < 6.2e-5


def test_weights_of_dead_channels_have_half_scales_too() -> None:
    array = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
    array[2] = 0
    assert all(float(np.float16(scale)) == scale for scale in weight_qparams(array, HALF, 0).scale)
