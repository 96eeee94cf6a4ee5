"""What Relu and Clip limit a tensor to."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from zsq_export.graph.topology import constant_scalar, is_op

Interval = tuple[float, float]
UNLIMITED: Interval = (-np.inf, np.inf)

_LIMITS = slice(1, 3)


def clip_interval(node: ir.Node) -> Interval | None:
    """What a Relu or Clip limits to; None where a limit is computed. Where lower > upper, the upper one holds."""
    if is_op(node, "Relu"):
        return 0.0, np.inf
    if any(value is not None and constant_scalar(value) is None for value in node.inputs[_LIMITS]):
        return None
    low, high = known_limits(node)
    return min(low, high), high


def known_limits(node: ir.Node) -> Interval:
    """Of a Clip, as they stand there; infinite where a limit is computed or there is none."""
    low, high, *_ = [constant_scalar(value) for value in node.inputs[_LIMITS]] + [None, None]
    return -np.inf if low is None else low, np.inf if high is None else high


def composed(first: Interval, second: Interval) -> Interval:
    """``clip(clip(x, *first), *second)`` as one interval."""
    low = min(max(first[0], second[0]), second[1])
    return low, max(min(first[1], second[1]), low)
