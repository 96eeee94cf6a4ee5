"""Quantize and dequantize arrays exactly as ONNX QuantizeLinear and DequantizeLinear define it."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import FloatArray, QParams

IntArray = NDArray[np.integer[Any]]
"""Stored numbers; of the 8-bit float type they are no integers."""

_CONTAINERS: dict[QuantDtype, np.dtype[Any]] = {
    QuantDtype.INT4: np.dtype(np.int8),
    QuantDtype.UINT4: np.dtype(np.uint8),
    QuantDtype.INT8: np.dtype(np.int8),
    QuantDtype.UINT8: np.dtype(np.uint8),
    QuantDtype.INT16: np.dtype(np.int16),
    QuantDtype.UINT16: np.dtype(np.uint16),
    QuantDtype.INT32: np.dtype(np.int32),
    QuantDtype.FLOAT8E4M3FN: np.dtype(ml_dtypes.float8_e4m3fn),
}


_EXACT_IN_FLOAT32 = 16
"""Widths in bits of which sums of an integer and a zero point are exact in float32; wider ones take twice as long."""


def container(dtype: QuantDtype) -> np.dtype[Any]:
    """The numpy type that holds integers of ``dtype`` (4-bit types: one integer per byte)."""
    return _CONTAINERS[dtype]


def broadcast_qparams(qparams: QParams, ndim: int) -> tuple[FloatArray, NDArray[np.int64]]:
    """Scale and zero point shaped so that they broadcast against an array of ``ndim`` axes.

    Returns:
        float32 scale and int64 zero point; 0-d for one scale per tensor.

    Raises:
        ValueError: the channel axis does not exist in an array of ``ndim`` axes, or the scales are per block.
    """
    if qparams.block is not None:
        raise ValueError("scales per block need the array's shape")
    scale = np.asarray(qparams.scale, dtype=np.float32)
    zero_point = np.asarray(qparams.zero_point, dtype=np.int64)
    if qparams.axis is None:
        return scale.reshape(()), zero_point.reshape(())
    if not -ndim <= qparams.axis < ndim:
        raise ValueError(f"channel axis {qparams.axis} in an array of {ndim} axes")
    shape = [1] * ndim
    shape[qparams.axis] = len(qparams.scale)
    return scale.reshape(shape), zero_point.reshape(shape)


def _grid(qparams: QParams, shape: tuple[int, ...]) -> tuple[FloatArray, NDArray[np.int64]]:
    """Scale and zero point that broadcast against an array of this shape; those of blocks are repeated."""
    if qparams.block is None or qparams.axis is None:
        return broadcast_qparams(qparams, len(shape))
    blocks = list(shape)
    blocks[qparams.axis] //= qparams.block
    scale = np.asarray(qparams.scale, dtype=np.float32).reshape(blocks).repeat(qparams.block, axis=qparams.axis)
    zero_point = np.asarray(qparams.zero_point, dtype=np.int64).reshape(blocks)
    return scale, zero_point.repeat(qparams.block, axis=qparams.axis)


def quantize(array: NDArray[Any], qparams: QParams) -> IntArray:
    """``saturate(round_half_to_even(array / scale) + zero_point)``, the division in float32.

    Args:
        array: real values of any shape.
        qparams: scale, zero point, type and channel axis.

    Returns:
        Integers of the same shape, in the numpy type of :func:`container`. The 8-bit float type rounds to its own
        grid, ties to even mantissas.

    Source: ONNX operator QuantizeLinear-21. ``narrow_range`` leaves out the smallest integer, which ONNX
    QuantizeLinear cannot: use it for constants only.
    """
    scale, zero_point = _grid(qparams, array.shape)
    low, high = qparams.limits
    quotient = np.asarray(array, dtype=np.float32) / scale
    if qparams.dtype is QuantDtype.FLOAT8E4M3FN:
        stored: IntArray = np.clip(quotient, low, high).astype(container(qparams.dtype))
        return stored
    exact = np.float32 if qparams.width <= _EXACT_IN_FLOAT32 else np.float64
    steps = np.rint(quotient).astype(exact, copy=False) + zero_point.astype(exact)
    integers: IntArray = np.clip(steps, low, high).astype(container(qparams.dtype))
    return integers


def dequantize(integers: NDArray[Any], qparams: QParams) -> FloatArray:
    """``(integers - zero_point) * scale`` in float32, as ONNX DequantizeLinear computes it."""
    scale, zero_point = _grid(qparams, integers.shape)
    if qparams.dtype is QuantDtype.FLOAT8E4M3FN:
        return np.asarray(integers.astype(np.float32) * scale, dtype=np.float32)
    exact = np.int32 if qparams.width <= _EXACT_IN_FLOAT32 else np.int64
    steps = (integers.astype(exact) - zero_point.astype(exact)).astype(np.float32)
    return np.asarray(steps * scale, dtype=np.float32)


def fake_quantize(array: NDArray[Any], qparams: QParams) -> FloatArray:
    """The real values that survive quantization: ``dequantize(quantize(array))``."""
    return dequantize(quantize(array, qparams), qparams)
