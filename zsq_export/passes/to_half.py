"""Float32 becomes float16, but for the nodes that must not: the types that a strongly typed runtime goes by."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

import numpy as np
import onnx
import onnx_ir as ir

from zsq_export.errors import UnsupportedOpError
from zsq_export.graph.opset import upgrade_opset
from zsq_export.graph.topology import constant_value, is_default_domain, is_op
from zsq_export.passes.editing import Editor

_FLOAT, _HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16
_FLOATS = (_FLOAT, _HALF)
_SUBGRAPHS = (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
_OPSET_OF_HALF_SCALES = 19


class ToHalf(ir.passes.InPlacePass):
    """Converts a float32 model, quantized or not, to float16. Graph inputs and outputs keep their type.

    1. A node computes in float16 if its operator allows that, unless it is named as float32 or makes floats of integers
       (integers beyond 2048 are no float16 numbers).
    2. QuantizeLinear takes the type of what it reads, DequantizeLinear that of what reads it.
    3. Casts stand where the two meet, one per tensor and type. A constant is stored in the type of its readers;
       finite values stay finite.
    4. Slots that an operator has in float32 only (the scales of Resize) stay so.
    5. float16 scales raise the model to operator set 19, the first that has them.
    """

    def __init__(self, float32_nodes: Collection[str] = ()) -> None:
        super().__init__()
        self.float32_nodes = frozenset(float32_nodes)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Applies the rules.

        Raises:
            UnsupportedOpError: a node has a sub-graph (If, Loop, Scan).
        """
        upgrade_opset(model, _OPSET_OF_HALF_SCALES)
        editor = Editor(model)
        casts = _Casts(editor)
        halves = _nodes_in_half(model, self.float32_nodes)
        for node in tuple(model.graph):
            _convert_inputs(node, casts, half=node in halves)
            if node in halves and not is_op(node, "QuantizeLinear"):
                _convert_result(node)
        for value in tuple(model.graph.outputs):
            if value.dtype == _HALF:
                _restore_output(editor, value)
        editor.modified = True
        return editor.result()


def _nodes_in_half(model: ir.Model, float32_nodes: frozenset[str]) -> set[ir.Node]:
    """Rules 1 and 2; readers are looked at before what they read."""
    halves: set[ir.Node] = set()
    for node in reversed(model.graph):
        if any(attribute.type in _SUBGRAPHS for attribute in node.attributes.values()):
            raise UnsupportedOpError(
                f"node {node.name!r} ({node.op_type}) has a sub-graph, which cannot be converted to float16",
                hint="export the model without control flow",
            )
        if is_op(node, "DequantizeLinear"):
            if any(reader in halves for reader, _ in node.outputs[0].uses()):
                halves.add(node)
        elif (node.name or "") not in float32_nodes and _allows_half(node):
            halves.add(node)
    return halves


def _allows_half(node: ir.Node) -> bool:
    if not is_default_domain(node):
        return False
    if is_op(node, "Cast"):
        source = node.inputs[0]
        return source is not None and source.dtype in (*_FLOATS, ir.DataType.BOOL)
    read = [slot for slot, value in enumerate(node.inputs) if value is not None and value.dtype in _FLOATS]
    written = [slot for slot, value in enumerate(node.outputs) if value.dtype == _FLOAT]
    schema = _schema(node)
    return all(_takes_half(schema, slot) is not False for slot in read) and all(
        _gives_half(schema, slot) for slot in written
    )


def _schema(node: ir.Node) -> onnx.defs.OpSchema:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    return _find_schema(node.op_type, graph.opset_imports[""])


@cache
def _find_schema(op_type: str, opset: int) -> onnx.defs.OpSchema:
    return onnx.defs.get_schema(op_type, opset, "")


def _takes_half(schema: onnx.defs.OpSchema, slot: int) -> bool | None:
    """Whether an input slot may hold float16; None where it is float32 whatever the node computes in."""
    formal = schema.inputs[min(slot, len(schema.inputs) - 1)]
    if formal.type_str == "tensor(float)":
        return None
    return "tensor(float16)" in formal.types


def _gives_half(schema: onnx.defs.OpSchema, slot: int) -> bool:
    return "tensor(float16)" in schema.outputs[min(slot, len(schema.outputs) - 1)].types


def _convert_inputs(node: ir.Node, casts: _Casts, *, half: bool) -> None:
    """Gives every float slot the type that the node computes in."""
    for slot, value in enumerate(node.inputs):
        if value is None or value.dtype not in _FLOATS:
            continue
        wanted = _FLOAT
        if is_op(node, "QuantizeLinear"):
            wanted = _HALF if node.inputs[0] is not None and node.inputs[0].dtype == _HALF else _FLOAT
        elif half and _takes_half(_schema(node), slot):
            wanted = _HALF
        if value.dtype != wanted:
            node.replace_input_with(slot, casts.get(value, wanted))
            casts.editor.drop_if_unused(value)


def _convert_result(node: ir.Node) -> None:
    for value in node.outputs:
        if value.dtype == _FLOAT:
            value.type = ir.TensorType(_HALF)
    for name, attribute in list(node.attributes.items()):
        if attribute.type == ir.AttributeType.INT and name in ("to", "dtype") and attribute.as_int() == _FLOAT:
            node.attributes[name] = ir.AttrInt64(name, int(_HALF))
        elif attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype == _FLOAT:
            node.attributes[name] = ir.AttrTensor(name, ir.Tensor(_as_half(attribute.as_tensor().numpy())))


def _as_half(array: np.ndarray) -> np.ndarray:
    """The nearest float16 numbers; what is finite stays so."""
    limit = float(np.finfo(np.float16).max)
    return np.where(np.isfinite(array), np.clip(array, -limit, limit), array).astype(np.float16)


def _restore_output(editor: Editor, value: ir.Value) -> None:
    """The graph output keeps name and type: a cast from the float16 tensor, which is renamed."""
    outputs, name = editor.graph.outputs, value.name or ""
    producer = value.producer()
    assert producer is not None
    cast = editor.node("Cast", [value], like=value, value_name=f"{name}_float", node_name=f"{name}_ToFloat",
                       attributes={"to": int(_FLOAT)})  # fmt: skip
    cast.outputs[0].type = ir.TensorType(_FLOAT)
    editor.graph.append(cast)
    for index, output in enumerate(outputs):
        if output is value:
            outputs[index] = cast.outputs[0]
    value.name = editor.new_value_name(f"{name}_half")
    cast.outputs[0].name = name


class _Casts:
    """One cast, or one converted constant, per tensor and type."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self._known: dict[tuple[ir.Value, ir.DataType], ir.Value] = {}

    def get(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        """The tensor in another type."""
        key = (value, dtype)
        if key not in self._known:
            array = constant_value(value)
            self._known[key] = self._cast(value, dtype) if array is None else self._constant(value, array, dtype)
        return self._known[key]

    def _constant(self, value: ir.Value, array: np.ndarray, dtype: ir.DataType) -> ir.Value:
        converted = _as_half(array) if dtype == _HALF else array.astype(np.float32)
        return self.editor.constant(converted, f"{value.name}_{dtype.name.lower()}")

    def _cast(self, value: ir.Value, dtype: ir.DataType) -> ir.Value:
        name = f"{value.name}_{dtype.name.lower()}"
        node = self.editor.node("Cast", [value], like=value, value_name=name, node_name=f"{name}_Cast",
                                attributes={"to": int(dtype)})  # fmt: skip
        node.outputs[0].type = ir.TensorType(dtype)
        producer = value.producer()
        if producer is None:
            self.editor.graph.insert_before(self.editor.graph[0], node)
        else:
            self.editor.graph.insert_after(producer, node)
        return node.outputs[0]
