"""Scale of an int32 bias: it is added to the accumulator, so its step is that of the accumulator."""

from __future__ import annotations

import numpy as np

from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams
from zsq_export.quantization.ranges import SMALLEST_SCALE


def bias_qparams(weight: QParams, input_scale: float) -> QParams:
    """int32 qparams with ``scale = input_scale * weight_scale``, the product taken in float32 as runtimes take it.

    Args:
        weight: qparams of the weight, per tensor or per output channel.
        input_scale: scale of the (per-tensor) activation.

    Returns:
        Zero point 0; axis 0 (a bias has one axis) where the weight is per channel, else None.
    """
    products = np.float32(input_scale) * np.asarray(weight.scale, dtype=np.float32)
    return QParams(
        scale=tuple(np.clip(products, SMALLEST_SCALE, np.finfo(np.float32).max).tolist()),
        zero_point=(0,) * len(weight.scale),
        dtype=QuantDtype.INT32,
        axis=None if weight.axis is None else 0,
    )
