"""The plan becomes part of the graph: QuantizeLinear and DequantizeLinear where it says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from zsq_export.errors import PlanError
from zsq_export.graph.opset import upgrade_opset
from zsq_export.graph.topology import constant_value, is_op, node_by_name, static_shape, value_by_name
from zsq_export.passes.editing import Editor
from zsq_export.planning.plan import Plan, Role, TensorPlan
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.linear import quantize
from zsq_export.quantization.qparams import QParams

_OPSET_OF_FLOAT8 = 19
_OPSET_OF_WIDE_TYPES = 21
_IN_OPSET_17 = frozenset({QuantDtype.INT8, QuantDtype.UINT8, QuantDtype.INT32})
_IR_TYPES: dict[QuantDtype, ir.DataType] = {dtype: ir.DataType[dtype.name] for dtype in QuantDtype}
_IN_OPSET_19 = _IN_OPSET_17 | {QuantDtype.FLOAT8E4M3FN}
_STORED = {
    QuantDtype.INT4: ml_dtypes.int4,
    QuantDtype.UINT4: ml_dtypes.uint4,
    QuantDtype.FLOAT8E4M3FN: ml_dtypes.float8_e4m3fn,
}

_EIGHT_BIT = {QuantDtype.INT4: QuantDtype.INT8, QuantDtype.UINT4: QuantDtype.UINT8}


class InsertQdq(ir.passes.InPlacePass):
    """Inserts quantization as the plan lists it. Every tensor keeps its name; all uses of one tensor share one pair.

    1. ACTIVATION: ``t -> QuantizeLinear -> DequantizeLinear``; the listed uses read the result, others still ``t``.
    2. ACTIVATION with ``as_output``: the graph output called ``t`` is the dequantized tensor; the float one before it
       is renamed to ``t_float``.
    3. WEIGHT and BIAS: an integer initializer and a DequantizeLinear. The float initializer goes when nobody reads it.
    4. ACTIVATION of fewer bits than its type has: a Clip of the integers between the two. So are four bits stored
       behind a Clip or Relu that ONNX Runtime would fuse wrongly.
    5. int32 has no zero-point input: ONNX Runtime wants it absent or zero.
    6. 16-bit and 4-bit types and blocks raise the model to operator set 21, 8-bit floats to 19: the first with them.
    """

    def __init__(self, plan: Plan, rounded: Mapping[str, NDArray[np.integer[Any]]] | None = None) -> None:
        """Takes the plan, and integers of weights that are not simply rounded to the nearest (by tensor name)."""
        super().__init__()
        self.plan = plan
        self.rounded = rounded or {}

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules.

        Raises:
            PlanError: the plan names a node, slot or tensor that the model does not have, or an integer type that the
                role does not allow.
        """
        if (opset := _needed_opset(self.plan)) is not None:
            upgrade_opset(model, opset)
        editor = Editor(model)
        nodes, values = node_by_name(model), value_by_name(model)
        for item in self.plan.tensors:
            if item.tensor not in values:
                raise PlanError(f"the plan quantizes tensor {item.tensor!r}, which the model does not have",
                                hint="make the plan again for this model")  # fmt: skip
            slots = [_slot(nodes, item, use.node, use.input_index) for use in item.uses]
            _insert(editor, item, values[item.tensor], slots, self.rounded.get(item.tensor))
        return editor.result()


def _needed_opset(plan: Plan) -> int | None:
    """The first operator set that has all types of the plan, where that is not the usual one."""
    used = {item.qparams.dtype for item in plan.tensors}
    if used - _IN_OPSET_19 or any(item.qparams.block is not None for item in plan.tensors):
        return _OPSET_OF_WIDE_TYPES
    return _OPSET_OF_FLOAT8 if used - _IN_OPSET_17 else None


def _slot(nodes: dict[str, ir.Node], item: TensorPlan, name: str, index: int) -> tuple[ir.Node, int]:
    node = nodes.get(name)
    if node is None:
        raise PlanError(f"tensor {item.tensor!r} is planned for node {name!r}, which the model does not have",
                        hint="make the plan again for this model")  # fmt: skip
    value = node.inputs[index] if 0 <= index < len(node.inputs) else None
    if value is None or value.name != item.tensor:
        found = "nothing" if value is None else repr(value.name)
        raise PlanError(f"input {index} of node {name!r} reads {found}, not {item.tensor!r} as planned",
                        hint="make the plan again for this model")  # fmt: skip
    return node, index


def _insert(
    editor: Editor,
    item: TensorPlan,
    value: ir.Value,
    slots: list[tuple[ir.Node, int]],
    rounded: NDArray[np.integer[Any]] | None,
) -> None:
    if item.role is Role.ACTIVATION:
        dequantized = _activation_pair(editor, item, value)
    else:
        dequantized = _constant(editor, item, value, rounded)
    for node, index in slots:
        editor.set_input(node, index, dequantized)
    if item.as_output:
        _make_output(editor, value, dequantized)


def _activation_pair(editor: Editor, item: TensorPlan, value: ir.Value) -> ir.Value:
    name = item.tensor
    item = _loadable(item, value)
    scale, zero_point, attributes = _parameters(editor, item.qparams, value)
    quantized = editor.node("QuantizeLinear", [value, scale, zero_point], like=value, value_name=f"{name}_quantized",
                            node_name=f"{name}_QuantizeLinear", attributes=attributes)  # fmt: skip
    quantized.outputs[0].type = ir.TensorType(_IR_TYPES[item.qparams.dtype])
    limited = [quantized] if item.qparams.bits is None else [quantized, _limit(editor, quantized.outputs[0], item)]
    dequantized = _dequantize(editor, limited[-1].outputs[0], value, item, (scale, zero_point), attributes)
    producer = value.producer()
    if producer is None:
        _prepend(editor.graph, [*limited, dequantized])
    else:
        editor.graph.insert_after(producer, [*limited, dequantized])
    return dequantized.outputs[0]


def _loadable(item: TensorPlan, value: ir.Value) -> TensorPlan:
    """The same integers in an 8-bit type where four bits follow a Clip or a Relu that ONNX Runtime would fuse.

    ONNX Runtime 1.30 and 1.32 fuse these into the QuantizeLinear behind them. Where that one's type has four bits, they
    refuse the model after a Clip, and drop a Relu whatever the zero point is.
    """
    producer, qparams = value.producer(), item.qparams
    wide = _EIGHT_BIT.get(qparams.dtype)
    if wide is None or producer is None or not is_op(producer, "Clip", "Relu"):
        return item
    if is_op(producer, "Relu") and qparams.zero_point == (qparams.limits[0],):
        return item
    return replace(item, qparams=replace(qparams, dtype=wide, bits=qparams.width))


def _limit(editor: Editor, integers: ir.Value, item: TensorPlan) -> ir.Node:
    """Keeps the integers within the bits that are used."""
    dtype = item.qparams.dtype
    bounds = [
        editor.constant(_as_stored(np.array(bound), dtype), f"{item.tensor}_{name}", _IR_TYPES[dtype])
        for name, bound in zip(("lowest", "highest"), item.qparams.limits, strict=True)
    ]
    return editor.node("Clip", [integers, *bounds], like=integers, value_name=f"{item.tensor}_limited",
                       node_name=f"{item.tensor}_Limit")  # fmt: skip


def _constant(editor: Editor, item: TensorPlan, value: ir.Value, rounded: NDArray[np.integer[Any]] | None) -> ir.Value:
    array = constant_value(value)
    if array is None:
        raise PlanError(f"tensor {item.tensor!r} is planned as {item.role.value} but it is no constant",
                        hint="plan it as activation")  # fmt: skip
    integers = _as_stored(quantize(array, item.qparams) if rounded is None else rounded, item.qparams.dtype)
    stored = editor.constant(integers, f"{item.tensor}_quantized", _IR_TYPES[item.qparams.dtype])
    scale, zero_point, attributes = _parameters(editor, item.qparams, value)
    node = _dequantize(editor, stored, value, item, (scale, zero_point), attributes)
    _prepend(editor.graph, [node])
    return node.outputs[0]


def _dequantize(
    editor: Editor,
    source: ir.Value,
    like: ir.Value,
    item: TensorPlan,
    parameters: tuple[ir.Value, ir.Value | None],
    attributes: dict[str, int | float | list[int] | str],
) -> ir.Node:
    inputs: list[ir.Value | None] = [source, parameters[0]]
    if parameters[1] is not None:
        inputs.append(parameters[1])
    return editor.node("DequantizeLinear", inputs, like=like, value_name=f"{item.tensor}_dequantized",
                       node_name=f"{item.tensor}_DequantizeLinear", attributes=attributes)  # fmt: skip


def _parameters(
    editor: Editor, qparams: QParams, value: ir.Value
) -> tuple[ir.Value, ir.Value | None, dict[str, int | float | list[int] | str]]:
    """Scale and zero point as initializers, and the attributes that both nodes carry."""
    shape = _shape_of_scales(qparams, value)
    name = value.name or ""
    scale = editor.constant(np.array(qparams.scale, dtype=np.float32).reshape(shape), f"{name}_scale")
    attributes: dict[str, int | float | list[int] | str] = {} if qparams.axis is None else {"axis": qparams.axis}
    if qparams.block is not None:
        attributes["block_size"] = qparams.block
    if qparams.dtype is QuantDtype.INT32:
        if any(qparams.zero_point):
            raise PlanError(f"tensor {name!r}: an int32 tensor needs zero point 0", hint="edit the plan")
        return scale, None, attributes
    integers = np.array(qparams.zero_point, dtype=np.int64).reshape(shape)
    zero_point = editor.constant(_as_stored(integers, qparams.dtype), f"{name}_zero_point", _IR_TYPES[qparams.dtype])
    return scale, zero_point, attributes


def _shape_of_scales(qparams: QParams, value: ir.Value) -> tuple[int, ...]:
    if qparams.axis is None:
        return ()
    sides = static_shape(value)
    if qparams.block is None or sides is None:
        return (-1,)
    return tuple((side or 0) // (qparams.block if axis == qparams.axis else 1) for axis, side in enumerate(sides))


def _as_stored(integers: NDArray[np.integer], dtype: QuantDtype) -> NDArray[np.generic]:
    """Integers in the numpy type that the ONNX tensor is made from."""
    return integers.astype(_STORED.get(dtype, dtype.value))


def _make_output(editor: Editor, value: ir.Value, dequantized: ir.Value) -> None:
    if not value.is_graph_output() or value.is_graph_input():
        raise PlanError(f"tensor {value.name!r} is planned as an output, which it is not", hint="edit the plan")
    outputs, name = editor.graph.outputs, value.name
    outputs[[item is value for item in outputs].index(True)] = dequantized
    value.name = editor.new_value_name(f"{name}_float")
    dequantized.name = name


def _prepend(graph: ir.Graph, nodes: list[ir.Node]) -> None:
    """Puts nodes that need no other node first."""
    graph.insert_before(graph[0], nodes)
