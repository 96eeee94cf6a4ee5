"""Scales of constant matrices per block: the granularity that 4-bit weights need."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zsq_export.quantization.dtypes import QuantSpec
from zsq_export.quantization.qparams import QParams
from zsq_export.quantization.ranges import EMPTY_RANGE_SCALE, as_scale


def blocked_qparams(array: NDArray[Any], spec: QuantSpec, axis: int) -> QParams:
    """Min-max qparams of a constant, one scale per ``spec.block`` elements along ``axis``.

    Args:
        array: the weight; its length along ``axis`` is a multiple of the block.
        spec: a symmetric signed type with a block size.
        axis: that a product sums over.

    Raises:
        ValueError: the block does not divide the axis, or the type is not symmetric and signed.
    """
    block, axis = spec.block or 0, axis % array.ndim
    if not block or array.shape[axis] % block or not (spec.symmetric and spec.dtype.signed):
        raise ValueError(f"blocks of {block} along axis {axis} of {array.shape} with {spec}")
    split = (*array.shape[:axis], array.shape[axis] // block, block, *array.shape[axis + 1 :])
    rows = array.reshape(split)
    low, high = spec.limits
    steps = np.maximum(-rows.min(axis=axis + 1) / -low, rows.max(axis=axis + 1) / high).astype(np.float64)
    steps[steps == 0] = np.median(steps[steps > 0]) if steps.any() else EMPTY_RANGE_SCALE
    return QParams(
        scale=tuple(as_scale(float(step), half=spec.half_scale) for step in steps.ravel()),
        zero_point=(0,) * steps.size,
        dtype=spec.dtype,
        axis=axis,
        narrow_range=spec.narrow_range,
        bits=spec.bits,
        block=block,
    )
