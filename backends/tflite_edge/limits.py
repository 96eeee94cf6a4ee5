"""What of a step's limits a fused activation keeps."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from zsq_export.backends.tflite_edge.steps import Step
from zsq_export.graph.limits import Interval
from zsq_export.quantization.linear import quantize


def limits_left(step: Step) -> tuple[int, Interval | None]:
    """What an op with a fused activation does of the step's clip: the activation's code, and what is left to do.

    On integers nothing is left of a limit that lies outside of what the result's scale can express.
    """
    codes = schema.ActivationFunctionType
    low, high = step.clip
    if step.integer:
        quant = step.result().quant
        assert quant is not None
        least, most = quant.limits
        first, last = (int(item) for item in quantize(np.clip(np.array([low, high]), -1e30, 1e30), quant))
        if first <= least and last >= most:
            return int(codes.NONE), None
        if low == 0 and last >= most:
            return int(codes.RELU), None
    known = {(0.0, np.inf): codes.RELU, (0.0, 6.0): codes.RELU6, (-1.0, 1.0): codes.RELU_N1_TO_1}
    if step.clip in known:
        return int(known[step.clip]), None
    return int(codes.NONE), (step.clip if np.isfinite(step.clip).any() else None)
