"""What must not run in float16, decided from the calibration's statistics."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from zsq_export.graph.topology import constant_value, is_float, is_op
from zsq_export.planning.plan import FloatOp
from zsq_export.quantization.statistics import TensorStatistics

LARGEST = float(np.finfo(np.float16).max)
SMALLEST = float(np.finfo(np.float16).smallest_subnormal)
MARGIN = 4.0
"""Real inputs may reach this many times further than the synthetic ones did."""


def float32_ops(model: ir.Model, statistics: Mapping[str, TensorStatistics]) -> tuple[FloatOp, ...]:
    """Nodes that have to compute in float32 where the rest is float16, in graph order.

    Rules:
        1. A node that reads or writes a tensor that was seen at more than a quarter of float16's largest number.
        2. A node that reads a constant that float16 makes infinite, or that it makes zero altogether (an epsilon that
           keeps a division apart from zero). A bound of Clip is as good at float16's end.

    Args:
        model: the float model.
        statistics: of its tensors; a tensor without any counts as harmless.
    """
    found = []
    for node in model.graph:
        read = node.inputs[:1] if is_op(node, "Clip") else node.inputs
        reasons = (_reason(value, statistics) for value in (*read, *node.outputs) if is_float(value))
        reason = next((text for text in reasons if text), "")
        if reason:
            found.append(FloatOp(node=node.name or "", op_type=node.op_type, reason=reason))
    return tuple(found)


def _reason(value: ir.Value | None, statistics: Mapping[str, TensorStatistics]) -> str:
    if value is None:
        return ""
    constant = constant_value(value)
    if constant is not None:
        return _reason_of_constant(value.name or "", float(np.abs(constant).max(initial=0.0)))
    seen = statistics.get(value.name or "")
    reach = 0.0 if seen is None else max(abs(seen.minimum), abs(seen.maximum))
    if reach * MARGIN <= LARGEST:
        return ""
    return f"{value.name} reaches {reach:.3g}, float16 ends at {LARGEST:.0f}"


def _reason_of_constant(name: str, reach: float) -> str:
    if reach > LARGEST:
        return f"the constant {name} reaches {reach:.3g}, float16 ends at {LARGEST:.0f}"
    return f"the constant {name} is at most {reach:.3g}, zero in float16" if 0 < reach < SMALLEST else ""
