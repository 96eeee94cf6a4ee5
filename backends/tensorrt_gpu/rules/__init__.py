"""Does a QDQ graph, whoever wrote it, follow TensorRT's rules?"""

from __future__ import annotations

import onnx_ir as ir

from zsq_export.backends.base import Violation
from zsq_export.backends.tensorrt_gpu.rules.placement import PLACEMENT_RULES
from zsq_export.backends.tensorrt_gpu.rules.types import TYPE_RULES
from zsq_export.graph.topology import node_by_name

__all__ = ["check_rules"]


def check_rules(model: ir.Model) -> tuple[Violation, ...]:
    """Every violation, in graph order; a node may have several.

    Args:
        model: with QuantizeLinear and DequantizeLinear; shapes need not be inferred.
    """
    found = [
        Violation(rule=name, node=node.name or "", op_type=node.op_type, message=message)
        for name, rule in (*TYPE_RULES.items(), *PLACEMENT_RULES.items())
        for node, message in rule(model)
    ]
    position = {name: index for index, name in enumerate(node_by_name(model))}
    return tuple(sorted(found, key=lambda item: (position.get(item.node, -1), item.rule)))
