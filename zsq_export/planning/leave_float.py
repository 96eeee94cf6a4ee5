"""A plan with some nodes left in float: what a person would delete by hand."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import onnx_ir as ir

from zsq_export.graph.topology import consumers, node_by_name, value_by_name
from zsq_export.planning.plan import FloatOp, Plan


def leave_float(plan: Plan, model: ir.Model, nodes: Collection[str], reason: str) -> Plan:
    """Drops the weights, biases, bias corrections and inner tensors of the nodes.

    What they read of the nodes that stay quantized is still quantized: integer ops write integers on some targets.

    Args:
        plan: of the model.
        model: the folded float model.
        nodes: names.
        reason: recorded for each of them.
    """
    named, values = node_by_name(model), value_by_name(model)
    tensors = []
    for item in plan.tensors:
        producer = values[item.tensor].producer()
        inner = producer is None or producer.name in nodes
        as_output = item.as_output and not inner
        kept = tuple(use for use in item.uses if not inner or use.node not in nodes)
        if kept or as_output:
            tensors.append(replace(item, uses=kept, as_output=as_output))
    known = {op.node for op in plan.float_ops}
    added = [FloatOp(node=name, op_type=named[name].op_type, reason=reason) for name in nodes if name not in known]
    return replace(
        plan,
        tensors=tuple(tensors),
        float_ops=(*plan.float_ops, *added),
        bias_corrections=tuple(item for item in plan.bias_corrections if item.node not in nodes),
    )


def behind(model: ir.Model, first: str) -> tuple[str, ...]:
    """The node and every node that its result reaches, in graph order."""
    found = {node_by_name(model)[first]}
    for node in model.graph:
        if node in found:
            found.update(reader for value in node.outputs for reader in consumers(value))
    return tuple(node.name or "" for node in model.graph if node in found)
