"""Which row of the table applies to a node, or why none does."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from zsq_export.graph.topology import (
    constant_value,
    float_attribute,
    float_weight,
    int_attribute,
    is_default_domain,
    is_float,
    is_op,
    only_consumer,
    weight_axis,
)
from zsq_export.planning.table import ConstantRule, OpRule, PlacementTable, WeightRule

BIAS_SLOT = 2
_WIDE_KERNEL = 3


def row_or_reason(node: ir.Node, table: PlacementTable) -> OpRule | str:
    """The row that the node is quantized by, or the reason why it stays float."""
    rule = table.rule(node.op_type) if is_default_domain(node) else None
    if rule is None:
        return table.float_reason(node.op_type)
    obstacle = _weight_obstacle(node, rule.weight) if has_weight_rule(node, rule) else _operand_obstacle(node, rule)
    return obstacle or _size_obstacle(node, rule) or rule


def has_weight_rule(node: ir.Node, rule: OpRule) -> bool:
    """Whether the weight of the node is to be treated as a weight (and not as a second activation)."""
    if rule.weight is None:
        return False
    return rule.weight.required or float_weight(node) is not None


def data_slots(node: ir.Node, rule: OpRule) -> tuple[int, ...]:
    """Input slots of the node that hold activations."""
    if has_weight_rule(node, rule):
        return rule.inputs or (0,)
    present = [i for i, value in enumerate(node.inputs) if is_float(value)]
    if rule.inputs is None or rule.weight is not None:
        return tuple(present)
    return tuple(i for i in present if i in rule.inputs)


def bias_place(node: ir.Node, rule: OpRule) -> tuple[ir.Node, int] | None:
    """The node and slot that hold the constant bias of a weighted op; None where it has none."""
    if bias_array(node) is not None:
        return node, BIAS_SLOT
    return added_bias(node) if rule.bias_add else None


def added_bias(node: ir.Node) -> tuple[ir.Node, int] | None:
    """The Add, and its slot, that alone adds a constant vector to a product with a constant matrix."""
    matrix, adding = float_weight(node), only_consumer(node.outputs[0])
    if not is_op(node, "MatMul") or matrix is None or matrix.ndim != 2 or adding is None or not is_op(adding, "Add"):
        return None
    slot = 1 if adding.inputs[0] is node.outputs[0] else 0
    array = constant_value(adding.inputs[slot])
    return (adding, slot) if array is not None and array.shape == matrix.shape[1:] else None


def bias_array(node: ir.Node) -> np.ndarray | None:
    """The constant float bias of a weighted op as float32 [channels], or None where it has none."""
    value = node.inputs[BIAS_SLOT] if len(node.inputs) > BIAS_SLOT else None
    array = constant_value(value)
    return None if array is None else np.atleast_1d(np.asarray(array, dtype=np.float32).squeeze())


def _weight_obstacle(node: ir.Node, weight: WeightRule | None) -> str:
    array = float_weight(node)
    if weight is None or array is None:
        return "its weight is computed at run time"
    if not np.isfinite(array).all():
        return "its weight holds NaN or infinity"
    if not is_float(node.inputs[0]) or constant_value(node.inputs[0]) is not None:
        return "its input is a constant"
    if not weight.grouped and int_attribute(node, "group", 1) != 1:
        return "the target has no integer kernel for groups here"
    axis = weight_axis(node)
    if axis is None:
        return "its weight is a vector"
    return _block_obstacle(array.shape, axis, weight) or _gemm_obstacle(node)


def _block_obstacle(shape: tuple[int, ...], axis: int, weight: WeightRule) -> str:
    block = weight.spec.block
    if block is None or (len(shape) == 2 and shape[1 - axis] % block == 0):
        return ""
    return f"its weight does not divide into blocks of {block}"


def _size_obstacle(node: ir.Node, rule: OpRule) -> str:
    weight = float_weight(node)
    if rule.size is None or weight is None:
        return ""
    few = f"fewer than {rule.size.channels}"
    if not is_op(node, "Conv", "ConvTranspose"):
        return f"its weight has {few} rows or columns" if min(weight.shape[-2:]) < rule.size.channels else ""
    if rule.size.first_layer and (value := node.inputs[0]) is not None and value.is_graph_input():
        return ""
    group = int_attribute(node, "group", 1)
    channels = (weight.shape[0], weight.shape[1] * group)
    if min(weight.shape[2:], default=1) >= _WIDE_KERNEL and not any(side % rule.size.multiple for side in channels):
        return ""
    return f"it has {few} channels" if min(channels) < rule.size.channels else ""


def _gemm_obstacle(node: ir.Node) -> str:
    if not is_op(node, "Gemm"):
        return ""
    if int_attribute(node, "transA", 0) or any(float_attribute(node, name, 1.0) != 1.0 for name in ("alpha", "beta")):
        return "a Gemm with transA, alpha or beta has no integer kernel"
    return ""


def _operand_obstacle(node: ir.Node, rule: OpRule) -> str:
    slots = data_slots(node, rule)
    constants = [i for i in slots if constant_value(node.inputs[i]) is not None]
    if not slots:
        return "it reads no float32 tensor"
    if len(constants) == len(slots):
        return "it reads constants only"
    if constants and rule.constants is ConstantRule.FLOAT_OP:
        return "one of its operands is a constant"
    return ""
