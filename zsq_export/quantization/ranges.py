"""From a real interval to the scale and zero point of an activation."""

from __future__ import annotations

import math

import numpy as np

from zsq_export.quantization.dtypes import QuantSpec
from zsq_export.quantization.qparams import QParams

SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
"""Scales are kept normal: float32 division by a denormal is flushed to zero by some runtimes."""

_LARGEST_SCALE = float(np.finfo(np.float32).max)

EMPTY_RANGE_SCALE = 1.0
"""Scale of a tensor that was only ever zero; zero is exact under any scale."""


def as_scale(value: float, *, half: bool = False) -> float:
    """``value`` as a usable float32 scale: never zero, never denormal, never infinite.

    Args:
        value: what the range asks for.
        half: take the next float16 number that is not smaller, so that the range stays covered. Beyond float16's
            largest number the scale stays as it is.
    """
    scale = np.float32(min(max(value, SMALLEST_SCALE), _LARGEST_SCALE))
    if not half or scale > np.finfo(np.float16).max:
        return float(scale)
    rounded = np.float16(scale)
    return float(rounded if rounded >= scale else np.nextafter(rounded, np.float16(np.inf)))


def qparams_from_range(minimum: float, maximum: float, spec: QuantSpec) -> QParams:
    """One scale and zero point that cover [minimum, maximum] and represent 0 exactly.

    Args:
        minimum, maximum: the interval, in units of the tensor; it is widened to contain 0.
        spec: integer type and symmetry. Symmetric unsigned types have their zero point at the middle (128 for uint8).

    Returns:
        Per-tensor qparams. An empty range gives a scale of 1.

    Raises:
        ValueError: a bound is NaN or infinite, or minimum > maximum.
    """
    scale, zero_point = scale_and_zero_point(minimum, maximum, spec)
    return QParams(
        scale=(scale,), zero_point=(zero_point,), dtype=spec.dtype, narrow_range=spec.narrow_range, bits=spec.bits
    )


def scale_and_zero_point(minimum: float, maximum: float, spec: QuantSpec) -> tuple[float, int]:
    """The same as two numbers: a weight has thousands of channels.

    Raises:
        ValueError: a bound is NaN or infinite, or minimum > maximum.
    """
    if not (math.isfinite(minimum) and math.isfinite(maximum)) or minimum > maximum:
        raise ValueError(f"[{minimum}, {maximum}] is not an interval")
    low, high = spec.limits
    bottom, top = min(minimum, 0.0), max(maximum, 0.0)
    if bottom == top:
        return EMPTY_RANGE_SCALE, _middle(spec) if spec.symmetric else min(max(0, low), high)
    if spec.symmetric:
        zero_point = _middle(spec)
        return as_scale(max(-bottom / (zero_point - low), top / (high - zero_point)), half=spec.half_scale), zero_point
    scale = as_scale((top - bottom) / (high - low), half=spec.half_scale)
    return scale, min(max(round(low - bottom / scale), low), high)


def _middle(spec: QuantSpec) -> int:
    return 0 if spec.dtype.signed else 1 << (spec.width - 1)
