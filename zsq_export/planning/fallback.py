"""Give a node back to float that the target's compiler has no kernel for as it is quantized."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from zsq_export.errors import KernelMissingError
from zsq_export.graph.topology import node_by_name
from zsq_export.planning.plan import FloatOp, Plan, TensorPlan


def give_back(plan: Plan, model: ir.Model, error: KernelMissingError) -> Plan:
    """The plan with one node less quantized: the first quantized one among those that the compiler names.

    Args:
        plan: that was lowered.
        model: the folded float model.
        error: of the compiler.

    Returns:
        A plan in which the node reads floats, listed among the ``float_ops`` with the compiler's reason.

    Raises:
        KernelMissingError: none of the named nodes is quantized, so that nothing can be given back.
    """
    quantized = {use.node for item in plan.tensors for use in item.uses}
    name = next((node for node in error.nodes if node in quantized), None)
    if name is None:
        raise error
    kept = (_without(item, name) for item in plan.tensors)
    reason = f"no kernel: {error.message}"
    return replace(
        plan,
        tensors=tuple(item for item in kept if item.uses or item.as_output),
        float_ops=(*plan.float_ops, FloatOp(node=name, op_type=node_by_name(model)[name].op_type, reason=reason)),
        bias_corrections=tuple(item for item in plan.bias_corrections if item.node != name),
    )


def _without(item: TensorPlan, node: str) -> TensorPlan:
    return replace(item, uses=tuple(use for use in item.uses if use.node != node))
