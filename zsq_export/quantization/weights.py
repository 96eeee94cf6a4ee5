"""Scales of constant weights, per channel or per tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.quantization.dtypes import QuantSpec
from zsq_export.quantization.estimators import RangeEstimator
from zsq_export.quantization.qparams import FloatArray, QParams
from zsq_export.quantization.ranges import (
    EMPTY_RANGE_SCALE,
    SMALLEST_SCALE,
    as_scale,
    qparams_from_range,
    scale_and_zero_point,
)

BIAS_HEADROOM = 2.0**30
"""Largest |integer| of an int32 bias; the other half of the type is left to the accumulator."""


_SHARES = tuple(1.0 - 0.02 * step for step in range(35))
"""Shares of the extremes that MSE tries: 1.0 to 0.32."""


def weight_qparams(
    array: NDArray[Any], spec: QuantSpec, axis: int | None, estimator: RangeEstimator = RangeEstimator.MIN_MAX
) -> QParams:
    """Qparams of a constant.

    Args:
        array: the weight, any shape; finite.
        spec: integer type and symmetry; ``per_channel`` chooses whether ``axis`` is used.
        axis: output-channel axis, or None for one scale per tensor.
        estimator: MSE takes the share of the extremes that leaves the least squared rounding and clipping error;
            anything else takes the extremes.

    Returns:
        One scale per channel of ``axis`` (or one in all). A channel of zeros gets the median scale of the live
        channels: its weights are exact under any scale, and its int32 bias then has a usual resolution.

    Raises:
        ValueError: the array holds NaN or infinity.
    """
    if axis is None or not spec.per_channel:
        low, high = _extremes(array.reshape(1, -1), spec, estimator)
        return qparams_from_range(float(low[0]), float(high[0]), spec)
    axis %= array.ndim
    rows = np.moveaxis(array, axis, 0).reshape(array.shape[axis], -1)
    low, high = _extremes(rows, spec, estimator)
    channels = [scale_and_zero_point(float(a), float(b), spec) for a, b in zip(low, high, strict=True)]
    scale = np.array([own for own, _ in channels], dtype=np.float32)
    alive = (low != 0) | (high != 0)
    typical = float(np.median(scale[alive])) if alive.any() else EMPTY_RANGE_SCALE
    scale[~alive] = as_scale(typical, half=spec.half_scale)
    return QParams(
        scale=tuple(float(s) for s in scale),
        zero_point=tuple(point for _, point in channels),
        dtype=spec.dtype,
        axis=axis,
        narrow_range=spec.narrow_range,
        bits=spec.bits,
    )


def _extremes(rows: NDArray[Any], spec: QuantSpec, estimator: RangeEstimator) -> tuple[NDArray[Any], NDArray[Any]]:
    """Interval of each row [channels, elements] that the integers are to cover."""
    low, high = rows.min(axis=1, initial=0.0), rows.max(axis=1, initial=0.0)
    if estimator is not RangeEstimator.MSE or not rows.size:
        return low, high
    best = np.full(len(rows), np.inf)
    found = low.copy(), high.copy()
    for share in _SHARES:
        error = _squared_error(rows, low * share, high * share, spec)
        better = error < best
        best = np.where(better, error, best)
        for kept, bound in zip(found, (low, high), strict=True):
            kept[better] = bound[better] * share
    return found


def _squared_error(rows: NDArray[Any], low: NDArray[Any], high: NDArray[Any], spec: QuantSpec) -> NDArray[Any]:
    """Sum over each row of what rounding and clipping to [low, high] changes, squared."""
    bottom, top = spec.limits
    if spec.symmetric:
        middle = 0 if spec.dtype.signed else 1 << (spec.width - 1)
        zero_point = np.full(len(rows), middle, np.float32)
        scale = np.maximum(-low / (middle - bottom), high / (top - middle))
    else:
        scale = (high - low) / (top - bottom)
        zero_point = np.clip(np.rint(bottom - low / np.maximum(scale, SMALLEST_SCALE)), bottom, top)
    step = np.maximum(scale, SMALLEST_SCALE).astype(np.float32)[:, None]
    offset = zero_point.astype(np.float32)[:, None]
    error = (np.clip(np.rint(rows / step) + offset, bottom, top) - offset) * step - rows
    return np.asarray(np.einsum("ij,ij->i", error, error))


def widen_for_bias(qparams: QParams, bias: FloatArray, input_scale: float) -> QParams:
    """Raises weight scales until ``|bias / (input_scale * weight_scale)| <= 2**30`` in every channel.

    A channel with tiny weights and a normal bias would otherwise overflow its int32 bias (ONNX Runtime issue 11415).
    Symmetric weights only: a zero point other than 0 would shift with the scale.

    Args:
        qparams: of the weight; per channel, or per tensor.
        bias: float32 [channels].
        input_scale: of the activation that the weight is multiplied with.
    """
    needed = np.abs(bias.astype(np.float64)) / (BIAS_HEADROOM * input_scale)
    if qparams.axis is None:
        needed = needed.max(initial=0.0, keepdims=True)
    scales = tuple(max(s, as_scale(float(n))) for s, n in zip(qparams.scale, needed, strict=True))
    return qparams if scales == qparams.scale else replace(qparams, scale=scales)
