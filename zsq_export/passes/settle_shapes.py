"""Shapes that are computed at run time although they are known, but for the batch."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
import onnx_ir as ir

from zsq_export.graph.topology import constant_value, is_default_domain, is_op
from zsq_export.passes.editing import Editor
from zsq_export.passes.shape_values import Elements, ShapeValues, all_integers

_INFER, _COPY = -1, 0
_ANONYMOUS = "unk__"
_MAX_CONSTANT = 64
_SHAPE_SLOT = 1


class SettleShapes(ir.passes.InPlacePass):
    """Evaluates shape arithmetic symbolically, so that Shape -> Gather -> Concat chains die and shapes are known.

    1. Shape arithmetic whose result does not depend on the run becomes a constant.
    2. A Reshape target with one dimension known only at run time becomes a constant with -1 there.
    3. With several such dimensions: 0 (copy) for those that stay on their axis, -1 for at most one other.
    4. Shapes behind such a Reshape or Expand are inferred again on the way. Dead nodes are left to others.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules in topological order to the main graph."""
        editor, values = Editor(model), ShapeValues()
        for node in list(model.graph):
            if any(_is_vague(value) for value in node.outputs):
                _infer_again(model, node)
            found = values.visit(node)
            if found is not None and all_integers(found):
                self._make_constant(editor, node, found)
            elif is_op(node, "Reshape", "Expand"):
                self._settle_target(editor, node, values.of(node.inputs[_SHAPE_SLOT]))
        return editor.result()

    def _make_constant(self, editor: Editor, node: ir.Node, found: Elements) -> None:
        output = node.outputs[0]
        if output.is_graph_output() or output.dtype not in (ir.DataType.INT64, ir.DataType.INT32):
            return
        array = found.astype(output.dtype.numpy())
        output.replace_all_uses_with(editor.constant(array, f"{output.name}_value"))

    def _settle_target(self, editor: Editor, node: ir.Node, target: Elements | None) -> None:
        source, output = node.inputs[0], node.outputs[0]
        if target is None or target.ndim != 1 or source is None:
            return
        if node.op_type == "Expand":
            _set_expanded_shape(source, output, target)
            return
        sides = _constant_target(node, source, target)
        if sides is not None and constant_value(node.inputs[_SHAPE_SLOT]) is None:
            constant = editor.constant(np.array(sides, dtype=np.int64), f"{output.name}_shape")
            editor.set_input(node, _SHAPE_SLOT, constant)
            node.attributes.pop("allowzero", None)
        _set_reshaped_shape(source, output, target)


def _constant_target(node: ir.Node, source: ir.Value, target: Elements) -> list[int] | None:
    """The same target without anything computed, or None where two free dimensions remain."""
    if any(isinstance(side, int) and side == _COPY for side in target):
        return None
    sides = [side if isinstance(side, int) else _INFER for side in target]
    if sides.count(_INFER) <= 1:
        return sides
    before = [] if source.shape is None else list(source.shape)
    for axis, side in enumerate(target):
        kept = before[axis] if axis < len(before) else None
        if isinstance(side, str) and isinstance(kept, ir.SymbolicDim) and kept.value == side:
            sides[axis] = _COPY
    return sides if sides.count(_INFER) <= 1 else None


def _set_reshaped_shape(source: ir.Value, output: ir.Value, target: Elements) -> None:
    """Names the dimensions of the result; -1 is worked out where everything else is static."""
    sides: list[int | str | None] = list(target)
    if _COPY in sides:
        return
    if _INFER in sides:
        sides[sides.index(_INFER)] = _quotient(source, sides) or _open(output, sides)
    output.shape = ir.Shape(sides)


def _quotient(source: ir.Value, sides: list[int | str | None]) -> int | None:
    """The dimension that -1 stands for, if all others are static; a dynamic one on both sides cancels."""
    before = [side if isinstance(side, int) else side.value for side in source.shape or ()]
    after = [side for side in sides if side != _INFER]
    for side in [side for side in after if isinstance(side, str) and side in before]:
        after.remove(side)
        before.remove(side)
    known = [side for side in (*before, *after) if isinstance(side, int) and side > 0]
    if not before or len(known) < len(before) + len(after):
        return None
    return prod(known[: len(before)]) // prod(known[len(before) :])


def _open(output: ir.Value, sides: list[int | str | None]) -> int | str | None:
    """What inference already knew of the dimension that -1 stands for."""
    if output.shape is None or len(output.shape) != len(sides):
        return None
    side = output.shape[sides.index(_INFER)]
    return side if isinstance(side, int) else side.value


def _set_expanded_shape(source: ir.Value, output: ir.Value, target: Elements) -> None:
    """Expand broadcasts: a target of 1 keeps the tensor's own side."""
    if source.shape is None or len(source.shape) > target.size:
        return
    own = [1] * (target.size - len(source.shape)) + list(source.shape)
    if all(isinstance(side, int) for side in own):
        output.shape = ir.Shape([mine if mine != 1 else side for mine, side in zip(own, target, strict=True)])


def _is_vague(value: ir.Value) -> bool:
    if value.shape is None:
        return True
    return any(not isinstance(side, int) and (side.value or _ANONYMOUS).startswith(_ANONYMOUS) for side in value.shape)


def _infer_again(model: ir.Model, node: ir.Node) -> None:
    """Repeats shape inference for one node; what was known and is not inferred now is kept."""
    if not is_default_domain(node) or any(value is not None and value.type is None for value in node.inputs):
        return
    schema = onnx.defs.get_schema(node.op_type, model.opset_imports[""], "")
    inputs = [value for value in node.inputs if value is not None]
    types = {str(value.name): _type_proto(value) for value in inputs}
    tensors = {str(value.name): value.const_value for value in inputs if _is_small_constant(value)}
    data = {name: ir.to_proto(tensor) for name, tensor in tensors.items() if tensor is not None}
    try:
        found = onnx.shape_inference.infer_node_outputs(schema, ir.to_proto(node), types, data)
    except (RuntimeError, ValueError, onnx.shape_inference.InferenceError, onnx.checker.ValidationError):
        return
    for value in node.outputs:
        if value.name in found:
            _merge(value, ir.serde.deserialize_type_proto_for_shape(found[value.name]))


def _merge(value: ir.Value, found: ir.Shape | None) -> None:
    if found is None:
        return
    if value.shape is None or len(value.shape) != len(found):
        value.shape = found
        return
    merged = [new if isinstance(new, int) or new.value else old for new, old in zip(found, value.shape, strict=True)]
    value.shape = ir.Shape(merged)


def _is_small_constant(value: ir.Value) -> bool:
    return value.const_value is not None and value.const_value.size <= _MAX_CONSTANT and not value.is_graph_input()


def _type_proto(value: ir.Value) -> onnx.TypeProto:
    assert value.type is not None
    proto = ir.serde.serialize_type(value.type)
    if value.shape is not None:
        ir.serde.serialize_shape_into(proto, value.shape)
    return proto
