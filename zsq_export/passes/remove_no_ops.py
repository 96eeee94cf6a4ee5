"""Nodes that compute nothing go."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from zsq_export.graph.topology import constant_value, int_attribute, is_default_domain, is_float, rank_of, static_shape
from zsq_export.passes.editing import Editor

_STEPS = 4


class RemoveNoOps(ir.passes.InPlacePass):
    """Removes nodes whose first output equals their first input.

    1. Identity, also between a BatchNormalization and shared parameters.
    2. Dropout whose mask nobody reads. In training mode, too: a file that drops activations at random cannot be meant.
    3. Cast to the type the tensor already has.
    4. Pad by nothing.
    5. Transpose that keeps the order of the axes.
    6. Concat, Sum, Max, Min, Mean of one tensor.
    7. Expand, Reshape, Slice, Tile, Flatten, Squeeze, Unsqueeze to the very same static shape (one symbolic dimension
       may stand where it stood).
    8. Mul or Div by ones, Add or Sub of zeros, Pow to one, where the constant does not widen the tensor.
    9. A node that gives a graph output goes only if the tensor before it can take over the name; a Dropout that
       must stay becomes Identity.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules to all nodes, subgraphs included."""
        editor = Editor(model)
        for node in list(ir.traversal.RecursiveGraphIterator(model.graph)):
            rule = _RULES.get(node.op_type) if is_default_domain(node) else None
            if rule is None or not node.inputs or node.inputs[0] is None or not rule(node):
                continue
            if node.op_type == "Dropout":
                node.resize_outputs(1)
            if not editor.bypass(node) and node.op_type == "Dropout":
                _make_identity(node)
        return editor.result()


def _make_identity(node: ir.Node) -> None:
    node.op_type = "Identity"
    node.resize_inputs(1)
    node.attributes.clear()


def _always(_node: ir.Node) -> bool:
    return True


def _mask_unread(node: ir.Node) -> bool:
    return all(not value.uses() and not value.is_graph_output() for value in node.outputs[1:])


def _same_type(node: ir.Node) -> bool:
    source = node.inputs[0]
    return source is not None and source.dtype is not None and int(source.dtype) == int_attribute(node, "to", 0)


def _zero_pads(node: ir.Node) -> bool:
    pads = constant_value(node.inputs[1])
    return pads is not None and not pads.any()


def _same_order(node: ir.Node) -> bool:
    perm = node.attributes.get_ints("perm", ())
    return bool(perm) and list(perm) == sorted(perm)


def _one_input(node: ir.Node) -> bool:
    return len(node.inputs) == 1


def _same_shape(node: ir.Node) -> bool:
    before, after = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    if before is None or before != after:
        return False
    symbolic = [axis for axis, side in enumerate(before) if side is None]
    if not symbolic:
        return True
    assert node.inputs[0] is not None and node.inputs[0].shape is not None and node.outputs[0].shape is not None
    axis = symbolic[0]
    name = node.inputs[0].shape[axis]
    return len(symbolic) == 1 and name == node.outputs[0].shape[axis] and getattr(name, "value", None) is not None


def _same_reshape(node: ir.Node) -> bool:
    """A Reshape keeps the number of elements, so one unknown dimension is settled by the known ones."""
    before, after = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    return before is not None and before == after and before.count(None) <= 1 and 0 not in before


def _same_slice(node: ir.Node) -> bool:
    """A negative step turns an axis around without changing the shape."""
    steps = constant_value(node.inputs[_STEPS]) if len(node.inputs) > _STEPS else np.ones(1)
    return steps is not None and bool(np.all(steps == 1)) and _same_shape(node)


def _neutral(number: float) -> Callable[[ir.Node], bool]:
    """A constant second operand that changes neither a value nor the shape."""

    def rule(node: ir.Node) -> bool:
        constant, source = constant_value(node.inputs[1]), node.inputs[0]
        rank = rank_of(source)
        if constant is None or not is_float(source) or rank is None or not np.all(constant == number):
            return False
        return constant.size == 1 and constant.ndim <= rank

    return rule


def _tile_once(node: ir.Node) -> bool:
    repeats = constant_value(node.inputs[1])
    return repeats is not None and bool(np.all(repeats == 1))


_RULES: dict[str, Callable[[ir.Node], bool]] = {
    "Identity": _always,
    "Dropout": _mask_unread,
    "Cast": _same_type,
    "Pad": _zero_pads,
    "Transpose": _same_order,
    "Concat": _one_input,
    "Sum": _one_input,
    "Max": _one_input,
    "Min": _one_input,
    "Mean": _one_input,
    "Expand": _same_shape,
    "Reshape": _same_reshape,
    "Flatten": _same_reshape,
    "Slice": _same_slice,
    "Tile": _tile_once,
    "Mul": _neutral(1.0),
    "Div": _neutral(1.0),
    "Add": _neutral(0.0),
    "Sub": _neutral(0.0),
    "Pow": _neutral(1.0),
}
