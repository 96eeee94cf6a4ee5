"""Scales of constant weights, per channel or per tensor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.quantization.dtypes import QuantSpec
from zsq_export.quantization.qparams import FloatArray, QParams
from zsq_export.quantization.ranges import EMPTY_RANGE_SCALE, as_scale, qparams_from_range

BIAS_HEADROOM = 2.0**30
"""Largest |integer| of an int32 bias; the other half of the type is left to the accumulator."""


def weight_qparams(array: NDArray[Any], spec: QuantSpec, axis: int | None) -> QParams:
    """Min-max qparams of a constant.

    Args:
        array: the weight, any shape; finite.
        spec: integer type and symmetry; ``per_channel`` chooses whether ``axis`` is used.
        axis: output-channel axis, or None for one scale per tensor.

    Returns:
        One scale per channel of ``axis`` (or one in all). A channel of zeros gets the median scale of the live
        channels: its weights are exact under any scale, and its int32 bias then has a usual resolution.

    Raises:
        ValueError: the array holds NaN or infinity.
    """
    if axis is None or not spec.per_channel:
        return qparams_from_range(float(np.min(array, initial=0.0)), float(np.max(array, initial=0.0)), spec)
    axis %= array.ndim
    others = tuple(i for i in range(array.ndim) if i != axis)
    low, high = array.min(axis=others), array.max(axis=others)
    channels = [qparams_from_range(float(a), float(b), spec) for a, b in zip(low, high, strict=True)]
    scale = np.array([channel.scale[0] for channel in channels], dtype=np.float32)
    alive = (low != 0) | (high != 0)
    scale[~alive] = np.median(scale[alive]) if alive.any() else EMPTY_RANGE_SCALE
    return QParams(
        scale=tuple(float(s) for s in scale),
        zero_point=tuple(channel.zero_point[0] for channel in channels),
        dtype=spec.dtype,
        axis=axis,
        narrow_range=spec.narrow_range,
    )


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
